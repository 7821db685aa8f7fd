//! Listings: the first page of many tags and of many repositories, beside a manifest.

use std::thread;

use anyhow::{Result, anyhow};

use super::content;
use super::http::Endpoint;
use super::report::{REQUESTS, Row};
use super::sample::Series;
use super::server::{Server, with_token};
use super::{Bench, pull, wrk};

const TAGS_REPOSITORY: &str = "bench/tags";
/// Tags that one request sets.
const TAGS_PER_REQUEST: usize = 10;
/// Threads that fill the registry.
const FILLERS: usize = 16;
/// Connections that ask for pages.
const CONNECTIONS: usize = 8;
/// Microseconds of CPU that a page may cost beyond a manifest.
const EXTRA_MICROS_MAX: f64 = 60.0;

/// First pages of 100.
pub(super) fn pages(bench: &Bench) -> Result<Vec<Row>> {
    let place = "kogge-listing";
    let kogge = bench.site.kogge(place, false)?;
    let owner = kogge.http()?;
    let manifest = pull::publish(bench, owner, &bench.source.blob(2, 4096))?;
    fill(owner, bench.names)?;
    let narrow = owner.with_authorization(&bench.site.put_user(place, "narrow", "team7/*")?);
    let catalog = "registry:catalog:*";
    let subjects: [(&str, Endpoint, String); 4] = [
        ("GET manifest by tag", manifest, pull::manifest_target()),
        (
            "tags, first 100",
            with_token(owner, &format!("repository:{TAGS_REPOSITORY}:pull"))?,
            format!("/v2/{TAGS_REPOSITORY}/tags/list?n=100"),
        ),
        ("repositories, first 100", with_token(owner, catalog)?, "/v2/_catalog?n=100".to_owned()),
        ("repositories of a user who may list one", with_token(&narrow, catalog)?, "/v2/_catalog?n=100".to_owned()),
    ];
    check(&subjects)?;
    let mut series = subjects.each_ref().map(|(name, ..)| Series::new(name));
    for _ in 0..bench.rounds() {
        for ((_, endpoint, target), series) in subjects.iter().zip(&mut series) {
            series.add(wrk::load(&bench.site.tools, &kogge, endpoint, target, CONNECTIONS, bench.turn())?);
        }
    }
    Ok(vec![row(&kogge, bench.names, &series)])
}

fn row(kogge: &Server, names: usize, series: &[Series; 4]) -> Row {
    let mut row = Row::new(format!("First pages of {} out of {names} tags and {names} repositories", kogge.name));
    let [manifest, pages @ ..] = series;
    row.measured(&[manifest], REQUESTS);
    for page in pages {
        row.measured(&[page], REQUESTS);
    }
    for page in pages {
        let extra = (page.cpu() - manifest.cpu()) * 1e6;
        row.at_most(format!("{}: CPU over a manifest's", page.name), extra, EXTRA_MICROS_MAX, "us");
    }
    row
}

/// Every page is what it should be, before it is measured.
fn check(subjects: &[(&str, Endpoint, String)]) -> Result<()> {
    for ((name, endpoint, target), expected) in subjects.iter().zip([None, Some(100), Some(100), Some(1)]) {
        let mut connection = endpoint.connect()?;
        connection.send(&super::http::Request::new("GET", target), &[])?;
        let answer = connection.answer()?;
        let body = String::from_utf8(connection.body(&answer)?)?;
        let names = body.split('[').nth(1).map_or(0, |list| list.matches("\",\"").count() + 1);
        if answer.status != 200 || expected.is_some_and(|expected| names != expected) {
            return Err(anyhow!("{name}: {} {body}", answer.status));
        }
    }
    Ok(())
}

/// Makes `names` tags of one repository, and as many repositories, each with one empty index.
fn fill(owner: &Endpoint, names: usize) -> Result<()> {
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, content::INDEX);
    let digest = content::digest_of(index.as_bytes());
    let (index, digest) = (index.as_bytes(), digest.as_str());
    thread::scope(|scope| {
        let fillers: Vec<_> = (0..FILLERS)
            .map(|filler| {
                scope.spawn(move || -> Result<()> {
                    let mut connection = owner.connect()?;
                    for number in (filler..names).step_by(FILLERS) {
                        let repository = format!("team{number}/app");
                        content::put_manifest(&mut connection, &repository, "v1", content::INDEX, index)?;
                    }
                    for first in (filler * TAGS_PER_REQUEST..names).step_by(FILLERS * TAGS_PER_REQUEST) {
                        let tags: Vec<String> = (first..names.min(first + TAGS_PER_REQUEST))
                            .map(|number| format!("tag=v{number:07}"))
                            .collect();
                        let reference = format!("{digest}?{}", tags.join("&"));
                        content::put_manifest(&mut connection, TAGS_REPOSITORY, &reference, content::INDEX, index)?;
                    }
                    Ok(())
                })
            })
            .collect();
        fillers.into_iter().try_for_each(|filler| filler.join().map_err(|_| anyhow!("a filler panicked"))?)
    })
}
