//! Conditional requests, in every form that an entity tag is written.

use http::Method;
use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Item, Seed, Tree};
use kogge_testkit::http::Reply;
use kogge_testkit::repository::Repository;
use kogge_types::Digest;
use kogge_types::media_type::OCI_MANIFEST;

struct World {
    registry: TestRegistry,
    repository: Repository,
    image: Tree,
    /// Another manifest whose blobs are there.
    next: Item,
}

impl World {
    async fn start() -> Self {
        let registry = TestRegistry::start().await;
        let repository = Repository::new(&registry.client(), "team/app");
        let image = ImageBuilder::new(&mut Seed::new(1)).build();
        repository.push_tagged(&image, "latest").await;
        let next = ImageBuilder::new(&mut Seed::new(1)).annotation("version", "next").build();
        Self { registry, repository, image, next: next.root().clone() }
    }

    async fn ask(&self, method: Method, path: &str, conditions: &[(&str, &str)]) -> Reply {
        let request = self.repository.client().request(method, path);
        conditions.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
    }

    async fn put(&self, reference: &str, conditions: &[(&str, &str)]) -> Reply {
        let request = self.repository.client().put(self.repository.manifest_path(reference));
        let request = request.header("content-type", OCI_MANIFEST).body(self.next.bytes.clone());
        conditions.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
    }

    async fn current(&self, tag: &str) -> Option<String> {
        self.repository.head_manifest(tag).await.header("docker-content-digest")
    }
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let world = World::start().await;
    let (manifest, blob) = (world.image.root(), &world.image.blobs[1]);
    let paths = [
        (world.repository.manifest_path("latest"), manifest),
        (world.repository.manifest_path(manifest.digest), manifest),
        (world.repository.blob_path(&blob.digest), blob),
    ];
    let other = Digest::sha256(b"other");
    for (path, item) in &paths {
        let digest = item.digest;
        let tag = format!("\"{digest}\"");
        let same = [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"{other}\", {tag}"),
            format!("{tag},\"x\""),
            "*".into(),
            digest.to_string(),
        ];
        for method in [Method::GET, Method::HEAD] {
            for value in &same {
                let reply = world.ask(method.clone(), path, &[("if-none-match", value)]).await.expect_status(304);
                let reply = reply.expect_body(b"").expect_header("etag", &tag);
                assert_eq!(reply.expect_header("docker-content-digest", digest).header("content-type"), None);
            }
            world
                .ask(method.clone(), path, &[("if-none-match", "\"x\""), ("if-none-match", &tag)])
                .await
                .expect_status(304);
            for value in
                [format!("\"{other}\""), "\"x\"".into(), String::new(), ",".into(), format!("{tag}x"), "x\"*\"".into()]
            {
                let reply = world.ask(method.clone(), path, &[("if-none-match", &value)]).await.expect_status(200);
                let length = reply.expect_header("etag", &tag).header("content-length");
                assert_eq!(length, Some(item.bytes.len().to_string()), "{value}");
            }
            for (value, status) in
                [(tag.as_str(), 200), ("*", 200), (&format!("\"{other}\""), 412), ("\"x\"", 412), ("", 412)]
            {
                world.ask(method.clone(), path, &[("if-match", value)]).await.expect_status(status);
            }
            // Dates say nothing here: there is no date of change.
            let date = "Sat, 29 Oct 1994 19:43:31 GMT";
            world.ask(method.clone(), path, &[("if-modified-since", date)]).await.expect_status(200);
            world.ask(method.clone(), path, &[("if-unmodified-since", date)]).await.expect_status(200);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_has_not_been_modified_either() {
    let world = World::start().await;
    let digest = Digest::sha256(b"absent");
    let tag = format!("\"{digest}\"");
    for (path, code) in [
        (world.repository.manifest_path("absent"), "MANIFEST_UNKNOWN"),
        (world.repository.manifest_path(digest), "MANIFEST_UNKNOWN"),
        (world.repository.blob_path(&digest), "BLOB_UNKNOWN"),
    ] {
        for value in [tag.as_str(), "*"] {
            world.ask(Method::GET, &path, &[("if-none-match", value)]).await.expect_error(404, code);
        }
    }
    // Nor does a condition open a door.
    let path = world.repository.blob_path(&world.image.blobs[1].digest);
    for value in ["*", &format!("\"{}\"", world.image.blobs[1].digest)] {
        let anonymous = world.registry.anonymous();
        anonymous.get(&path).header("if-none-match", value).send().await.expect_error(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_tag_is_written_only_as_its_condition_says() {
    let world = World::start().await;
    let first = world.image.root().digest.to_string();
    let (is_first, is_next) = (format!("\"{first}\""), format!("\"{}\"", world.next.digest));
    let unreadable = "\u{e4}\u{f6}";
    for conditions in [
        &[("if-none-match", "*")][..],
        &[("if-none-match", &is_first)],
        &[("if-match", &is_next)],
        &[("if-match", "\"x\"")],
        &[("if-match", "")],
        &[("if-match", unreadable)],
        &[("if-match", &is_next), ("if-none-match", &is_next)],
    ] {
        let reply = world.put("latest", conditions).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (412, "PRECONDITION_FAILED"), "{conditions:?}");
        assert_eq!(reply.json()["errors"][0]["detail"]["current"], first.as_str());
        assert_eq!(world.current("latest").await.as_deref(), Some(first.as_str()), "{conditions:?}");
    }
    for conditions in [&[("if-match", "*")][..], &[("if-match", &is_first)]] {
        world.put("absent", conditions).await.expect_error(412, "PRECONDITION_FAILED");
        assert_eq!(world.current("absent").await, None);
    }
    // Nothing of the manifest stayed either.
    world.repository.get_manifest(world.next.digest).await.expect_status(404);
    world.put("new", &[("if-none-match", "*")]).await.expect_status(201);
    world.put("latest", &[("if-match", &format!("\"x\", {is_first}"))]).await.expect_status(201);
    world.put("latest", &[("if-match", &is_next)]).await.expect_status(201);
    world.put("latest", &[("if-none-match", &is_first)]).await.expect_status(201);
    let digest = world.next.digest.to_string();
    assert_eq!(world.current("latest").await, Some(digest.clone()));
    world.put(&digest, &[("if-none-match", "*")]).await.expect_error(412, "PRECONDITION_FAILED");
    world.put(&digest, &[("if-match", "*")]).await.expect_status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_make_a_tag_at_once_one_does() {
    let world = World::start().await;
    let is_first = format!("\"{}\"", world.image.root().digest);
    for (tag, name, value) in [("new", "if-none-match", "*"), ("latest", "if-match", is_first.as_str())] {
        let race = (0..12).map(|number| {
            let manifest = ImageBuilder::new(&mut Seed::new(1)).annotation("racer", &format!("{tag}{number}")).build();
            let client = world.repository.client().clone();
            let path = world.repository.manifest_path(tag);
            let (name, value) = (name.to_owned(), value.to_owned());
            tokio::spawn(async move {
                let put = client.put(path).header("content-type", OCI_MANIFEST).header(&name, value);
                let reply = put.body(manifest.root().bytes.clone()).send().await;
                (reply.status.as_u16(), manifest.root().digest.to_string())
            })
        });
        let race: Vec<_> = race.collect();
        let mut winners = Vec::new();
        for racer in race {
            match racer.await.expect("no panic") {
                (201, digest) => winners.push(digest),
                (status, _) => assert_eq!(status, 412),
            }
        }
        assert_eq!(winners.len(), 1, "{tag}");
        assert_eq!(world.current(tag).await.as_ref(), winners.first());
    }
}
