//! Many registries and tokens: listed in pages, whose cost in memory and in reading is a page's, however many there are.
//! A token that is written makes no other one be read again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use http::Method;
use kogge_core::directory::operator;
use kogge_core::{Settings, kind};
use kogge_meta::{Commit, NewResource};
use kogge_server::installation::Installation;
use kogge_testkit::http::Client;
use kogge_testkit::process::{PASSWORD, Process, Site};
use kogge_testkit::tier;
use kogge_types::limits::{PAGE_RESOURCES_DEFAULT, PAGE_RESOURCES_MAX};
use kogge_types::{Digest, RegistryId, ResourceId};
use serde_json::{Value, json};

use super::permissions::{ask, management_by};

/// What a server may have needed at most while everything was listed again and again, above what it had when it began:
/// in pages of the usual size, and of the largest. It is what single pages take, whatever there is.
const MEMORY_MIB_MAX: u64 = 20;
const MEMORY_OF_LARGEST_MIB_MAX: u64 = 64;
/// Bytes of an answer for each resource that a page may have.
const SHOWN_BYTES_MAX: usize = 4 * 1024;
/// Bytes that a server reads for a resource of a page, at most.
const READ_BYTES_MAX: u64 = 16 * 1024;
/// Bytes that a server reads to write one token, at most.
const WRITE_READ_BYTES_MAX: u64 = 512 * 1024;
/// Written at once while the installation is filled.
const BATCH: usize = 1_000;

/// How much there is.
#[derive(Debug, Clone, Copy)]
struct Size {
    registries: usize,
    tokens: usize,
}

impl Size {
    fn of_tier() -> Self {
        if tier::is_long() {
            Self { registries: 1_000, tokens: 10_000 }
        } else {
            Self { registries: 120, tokens: 1_200 }
        }
    }

    /// The number of the registry that has the token `number`: every second one is the first registry's.
    fn registry_of(self, number: usize) -> usize {
        if number.is_multiple_of(2) { 0 } else { number % self.registries }
    }
}

/// The group of a registry: every third one is in a group of its own.
fn group_of(registry: usize) -> &'static str {
    if registry.is_multiple_of(3) { "team" } else { "default" }
}

fn registry_name(number: usize) -> String {
    format!("reg{number:05}")
}

fn id(text: &str) -> ResourceId {
    ResourceId::from_bytes(*Digest::sha256(text.as_bytes()).hash().first_chunk().expect("32 bytes"))
}

fn groups(subscription: &str, group: &str) -> String {
    format!("{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries")
}

/// Fills an installation without a server. Answers its subscription's path.
async fn fill(site: &Site, size: Size) -> String {
    let installation = Installation::open(site.data_dir(), Some(Settings::default())).await.expect("an installation");
    let core = &installation.core;
    let subscription = core.deployment().path();
    let mut resources = vec![(kind::RESOURCE_GROUP, subscription.to_lowercase(), "team".to_owned(), Vec::new())];
    for number in 0..size.registries {
        let group = format!("{subscription}/resourcegroups/{}", group_of(number)).to_lowercase();
        let sku = [("sku", json!({ "name": "Premium" })), ("properties.adminUserEnabled", json!(false))];
        resources.push((kind::REGISTRY, group, registry_name(number), sku.to_vec()));
    }
    for number in 0..size.tokens {
        let registry = size.registry_of(number);
        let parent = format!("{}/{}", groups(&subscription, group_of(registry)), registry_name(registry));
        let of_map = [("properties.scopeMapId", json!(format!("{parent}/scopeMaps/_repositories_pull")))];
        let registers = [&of_map[..], &[("properties.status", json!("enabled"))]].concat();
        resources.push((kind::TOKEN, parent.to_lowercase(), format!("token{number:06}"), registers));
    }
    for batch in resources.chunks(BATCH).map(<[_]>::to_vec) {
        let written = core.write_policy(move |tx| {
            let mut changes = Vec::new();
            for (kind, parent, name, registers) in batch {
                let id = id(&format!("{kind} {parent} {name}"));
                if kind == kind::REGISTRY {
                    let name = name.parse().expect("a registry's name");
                    changes.push(tx.put_registry(RegistryId::from_bytes(*id.as_bytes()), &name)?.1);
                }
                let registers = registers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                let (parent, name) = (parent.as_str(), name.as_str());
                let location = Some("home").filter(|_| kind != kind::TOKEN);
                let new = NewResource { id, kind, parent, name, location, by: &operator(), registers: &registers };
                changes.push(tx.put_resource(&new)?.1);
            }
            Ok(Commit::new((), changes))
        });
        written.await.expect("the resources are written");
    }
    subscription
}

/// What walking a listing through gave.
#[derive(Debug, Default)]
struct Walk {
    ids: BTreeSet<String>,
    pages: usize,
    /// Bytes that the server read for the page that took the most.
    read_max: u64,
}

/// Follows `nextLink` to the end. No page has more than `top` resources, and none comes twice.
async fn walk(process: &Process, client: &Client, path: &str, top: Option<usize>) -> Walk {
    let mut walk = Walk::default();
    let mut next = match top {
        Some(top) => format!("{path}?api-version=2025-11-01&$top={top}"),
        None => format!("{path}?api-version=2025-11-01"),
    };
    let top = top.unwrap_or(PAGE_RESOURCES_DEFAULT);
    let base = format!("http://{}", process.addr());
    loop {
        let before = counter(process, "io", "rchar:");
        let reply = client.get(&next).send().await.expect_status(200);
        walk.read_max = walk.read_max.max(counter(process, "io", "rchar:") - before);
        walk.pages += 1;
        assert!(reply.body.len() <= top * SHOWN_BYTES_MAX, "{next}: {} bytes", reply.body.len());
        let page = reply.json();
        let listed = page["value"].as_array().expect("a list");
        assert!(listed.len() <= top, "{next}: {} resources", listed.len());
        for resource in listed {
            let id = resource["id"].as_str().expect("an id").to_lowercase();
            assert!(walk.ids.insert(id), "{next}: {} again", resource["id"]);
        }
        match page["nextLink"].as_str() {
            Some(link) => {
                assert_eq!(listed.len(), top, "{next}: a page that is not full has another one behind it");
                next = link.strip_prefix(&base).unwrap_or_else(|| panic!("{link}")).to_owned();
            }
            None => return walk,
        }
    }
}

/// A number of `/proc/<pid>/<file>`.
fn counter(process: &Process, file: &str, name: &str) -> u64 {
    let path = format!("/proc/{}/{file}", process.pid());
    let text = fs::read_to_string(Path::new(&path)).expect("a process has counters");
    let number = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_are_listed_in_pages_at_constant_memory() {
    let size = Size::of_tier();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let site = Site::new(folder.path().join("data"));
    let subscription = fill(&site, size).await;
    let process = site.serve();
    let owner = management_by(&Client::new(process.addr()), "admin", PASSWORD, "localhost").await;
    let provider = format!("{subscription}/providers/Microsoft.ContainerRegistry/registries");
    let largest = format!("{}/{}/tokens", groups(&subscription, group_of(0)), registry_name(0));
    let of_group = |group: &str| (0..size.registries).filter(|number| group_of(*number) == group).count();
    // The first registry has the even ones, and those odd ones whose turn comes to it.
    let of_largest = (0..size.tokens).filter(|number| size.registry_of(*number) == 0).count();
    let listings = [
        // With the registry that every installation has.
        (provider, size.registries + 1),
        (groups(&subscription, "default"), of_group("default") + 1),
        (groups(&subscription, "team"), of_group("team")),
        (format!("{subscription}/resources"), size.registries + 1),
        (largest.clone(), of_largest),
    ];
    // What is ready after the first answers is there before it is measured.
    walk(&process, &owner, &largest, Some(10)).await;
    // The most that the process has needed is counted from here (proc(5), clear_refs).
    fs::write(format!("/proc/{}/clear_refs", process.pid()), "5").expect("the peak is counted anew");
    let began_kib = counter(&process, "status", "VmRSS:");
    for (tops, bound_mib) in
        [(&[Some(7), None][..], MEMORY_MIB_MAX), (&[Some(PAGE_RESOURCES_MAX)], MEMORY_OF_LARGEST_MIB_MAX)]
    {
        for ((path, count), top) in listings.iter().flat_map(|listing| tops.iter().map(move |top| (listing, *top))) {
            let walk = walk(&process, &owner, path, top).await;
            let page = top.unwrap_or(PAGE_RESOURCES_DEFAULT);
            assert_eq!((walk.ids.len(), walk.pages), (*count, count.div_ceil(page)), "{path}");
            let read_max = (page.max(PAGE_RESOURCES_DEFAULT) as u64 + 1) * READ_BYTES_MAX;
            assert!(walk.read_max <= read_max, "{path}: {} bytes read for one page of {page}", walk.read_max);
        }
        let grown_mib = counter(&process, "status", "VmHWM:").saturating_sub(began_kib) / 1024;
        println!("{began_kib} KiB of memory when it began, {grown_mib} MiB more at the most for pages of {tops:?}");
        assert!(grown_mib <= bound_mib, "{grown_mib} MiB more than when the listings began");
    }
    // All tokens, by the registries that have them.
    let mut tokens = 0;
    for number in (0..size.registries).step_by((size.registries / 20) | 1) {
        let path = format!("{}/{}/tokens", groups(&subscription, group_of(number)), registry_name(number));
        let expected = (0..size.tokens).filter(|token| size.registry_of(*token) == number).count();
        assert_eq!(walk(&process, &owner, &path, None).await.ids.len(), expected, "{path}");
        tokens += expected;
    }
    assert!(tokens > of_largest);
    writes_read_little(&process, &owner, &largest).await;
    process.stop();
}

/// A token is made, changed and deleted by reading it alone, and each change is in force at once.
async fn writes_read_little(process: &Process, owner: &Client, tokens: &str) {
    let registry = tokens.strip_suffix("/tokens").expect("tokens of a registry");
    let path = format!("{tokens}/another");
    let body = |status: &str| {
        let map = format!("{registry}/scopeMaps/_repositories_pull");
        json!({ "properties": { "scopeMapId": map, "status": status } })
    };
    let steps = [
        (Method::PUT, path.clone(), body("enabled")),
        (Method::POST, format!("{registry}/generateCredentials"), json!({ "tokenId": path })),
        (Method::PATCH, path.clone(), json!({ "properties": { "status": "disabled" } })),
        (Method::DELETE, path.clone(), Value::Null),
    ];
    for round in 0..5 {
        for (method, path, body) in &steps {
            let before = counter(process, "io", "rchar:");
            let reply = ask(owner, method.clone(), path, body.clone()).await;
            assert!(reply.status.is_success(), "{method} {path}: {}", reply.text());
            let read = counter(process, "io", "rchar:") - before;
            assert!(round == 0 || read <= WRITE_READ_BYTES_MAX, "{method} {path}: {read} bytes read");
        }
    }
}
