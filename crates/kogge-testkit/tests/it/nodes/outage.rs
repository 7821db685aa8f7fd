//! The database goes away and comes back, while clients push.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed, Tree};
use kogge_testkit::http::Client;
use kogge_testkit::postgres::Server;
use kogge_testkit::repository::Repository;
use tokio::sync::watch;

use super::Region;

const CLIENTS: u64 = 8;
/// How long after the database is back every node must have recovered.
const RECOVERY: Duration = Duration::from_secs(15);

/// Pushes small images until told to stop. Returns those whose manifest was acknowledged, with their tags.
async fn push_on(
    client: Client,
    number: u64,
    acknowledged: Arc<watch::Sender<u64>>,
    stop: Arc<AtomicBool>,
) -> Vec<(String, Tree)> {
    let repository = Repository::new(&client, &format!("load/{number}"));
    let mut seed = Seed::new(number + 1);
    let mut pushed = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (image, tag) = (ImageBuilder::new(&mut seed).build(), format!("t{}", pushed.len()));
        match push(&repository, &image, &tag).await {
            Ok(()) => {
                acknowledged.send_modify(|count| *count += 1);
                pushed.push((tag, image));
            }
            Err(status) => assert!([404, 429, 500, 503].contains(&status), "an answer of {status}"),
        }
    }
    pushed
}

/// Pushes an image. Fails with the status of the answer that was none of success.
async fn push(repository: &Repository, image: &Tree, tag: &str) -> Result<(), u16> {
    let client = repository.client();
    for blob in &image.blobs {
        let begun = client.post(repository.path("blobs/uploads/")).try_send().await.map_err(|_| 503_u16)?;
        if begun.status != 202 {
            return Err(begun.status.as_u16());
        }
        let put = client.put(kogge_testkit::repository::with_digest(&begun.location(), &blob.digest));
        let put = put.body(blob.bytes.clone()).try_send().await.map_err(|_| 503_u16)?;
        if put.status != 201 {
            return Err(put.status.as_u16());
        }
    }
    let put = client.put(repository.manifest_path(tag)).header("content-type", &image.root().media_type);
    let put = put.body(image.root().bytes.clone()).try_send().await.map_err(|_| 503_u16)?;
    if put.status == 201 { Ok(()) } else { Err(put.status.as_u16()) }
}

/// Waits until `more` further pushes were acknowledged.
async fn await_progress(acknowledged: &watch::Sender<u64>, more: u64) {
    let mut count = acknowledged.subscribe();
    let wanted = *count.borrow() + more;
    let waited = tokio::time::timeout(RECOVERY, count.wait_for(|count| *count >= wanted)).await;
    waited.expect("pushes are taken").expect("the sender lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_database_restarts() {
    let server = tokio::task::block_in_place(Server::start_own);
    let region = Region::new(&server);
    let nodes: Vec<TestRegistry> = vec![region.node().await, region.node().await];
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(watch::Sender::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let client = nodes[number as usize % nodes.len()].client();
            tokio::spawn(push_on(client, number, Arc::clone(&acknowledged), Arc::clone(&stop)))
        })
        .collect();
    await_progress(&acknowledged, 20).await;
    for crash in [false, true] {
        tokio::task::block_in_place(|| if crash { server.crash() } else { server.stop() });
        // While it is away, nothing is answered from what a node remembers.
        for node in &nodes {
            let away = node.client().get("/v2/load/0/tags/list").try_send().await.expect("an answer");
            assert_eq!(away.status, 503, "{}", away.text());
        }
        tokio::task::block_in_place(|| server.start());
        await_progress(&acknowledged, 20).await;
    }
    stop.store(true, Ordering::Relaxed);
    for (number, client) in clients.into_iter().enumerate() {
        let pushed = client.await.expect("the client ends well");
        let other = Repository::new(&nodes[(number + 1) % nodes.len()].client(), &format!("load/{number}"));
        for (tag, image) in pushed {
            other.get_manifest(&tag).await.expect_status(200).expect_body(&image.root().bytes);
            for blob in &image.blobs {
                other.get_blob(&blob.digest).await.expect_status(200).expect_body(&blob.bytes);
            }
        }
    }
}
