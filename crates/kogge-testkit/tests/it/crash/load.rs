//! Clients that push, mount, move tags, delete and abandon uploads, each in repositories of its own, some of whose
//! layers all of them share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use kogge_testkit::content::{ImageBuilder, Item, Seed, Tree};
use kogge_testkit::http::{Client, Reply, Request};
use kogge_testkit::process::Process;
use kogge_testkit::repository::{Repository, chunk_request, with_digest};
use kogge_types::media_type::{OCI_LAYER_GZIP, OCTET_STREAM};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::{Found, Ledger, Session};

/// Layers that every worker may use.
const SHARED_LAYERS: u64 = 6;
const SHARED_LAYER_BYTES: usize = 64 * 1024;
/// Tags of a repository.
const TAGS: u64 = 5;

/// How far the load has come, and whether it ends.
#[derive(Debug)]
pub(super) struct Gauge {
    requests: watch::Sender<u64>,
    ending: AtomicBool,
}

/// The server is gone.
#[derive(Debug)]
struct Gone;

impl Gauge {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { requests: watch::Sender::new(0), ending: AtomicBool::new(false) })
    }

    /// Waits until `count` requests have been sent, the last one perhaps without its answer.
    pub(super) async fn wait_for(&self, count: u64) {
        self.requests.subscribe().wait_for(|sent| *sent >= count).await.expect("the gauge holds the sender");
    }

    /// From now on workers end when they have done what they are at, or when the server is gone.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }
}

/// One client and what it was told.
#[derive(Debug)]
pub(super) struct Worker {
    seed: Seed,
    repositories: [String; 2],
    pub(super) ledger: Ledger,
}

impl Worker {
    /// Workers of different names share no repository.
    pub(super) fn new(name: &str, seed: u64) -> Self {
        let repositories = [format!("load/{name}/a"), format!("load/{name}/b")];
        Self { seed: Seed::new(seed), repositories, ledger: Ledger::default() }
    }

    /// Works until the gauge says that it is enough.
    async fn work(mut self, client: Client, gauge: Arc<Gauge>) -> Self {
        while !gauge.is_ending() {
            let mut turn = Turn { worker: &mut self, client: &client, gauge: &gauge };
            if turn.take().await.is_err() {
                assert!(gauge.is_ending(), "the server closed a connection without an answer");
            }
        }
        self
    }
}

/// Sets all of `workers` to work on the server behind `process`.
pub(super) fn start(workers: Vec<Worker>, process: &Process, gauge: &Arc<Gauge>) -> JoinSet<Worker> {
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(worker.work(process.client(), Arc::clone(gauge)));
    }
    tasks
}

/// Checks what all of `workers` were told.
pub(super) async fn check(workers: Vec<Worker>, process: &Process) -> (Vec<Worker>, Found) {
    let mut tasks = JoinSet::new();
    for mut worker in workers {
        let client = process.client();
        tasks.spawn(async move {
            let found = worker.ledger.check(&client).await;
            (worker, found)
        });
    }
    let mut total = Found::default();
    let mut workers = Vec::new();
    for (worker, found) in tasks.join_all().await {
        total.images += found.images;
        total.tags += found.tags;
        total.resumed += found.resumed;
        workers.push(worker);
    }
    (workers, total)
}

/// One thing that a worker does.
struct Turn<'a> {
    worker: &'a mut Worker,
    client: &'a Client,
    gauge: &'a Gauge,
}

impl Turn<'_> {
    async fn take(&mut self) -> Result<(), Gone> {
        match self.pick(14) {
            0..=4 => self.push().await,
            5..=6 => self.mount().await,
            7..=8 => self.move_tag().await,
            9 => self.delete_tag().await,
            10..=11 => self.delete_manifest().await,
            _ => self.abandon().await,
        }
    }

    fn pick(&mut self, choices: u64) -> u64 {
        self.worker.seed.word() % choices
    }

    fn choose<T>(&mut self, of: Vec<T>) -> Option<T> {
        let count = of.len() as u64;
        if count == 0 {
            return None;
        }
        let index = usize::try_from(self.pick(count)).expect("an index is small");
        of.into_iter().nth(index)
    }

    fn repository(&mut self) -> Repository {
        let index = usize::from(self.pick(2) == 1);
        Repository::new(self.client, &self.worker.repositories[index])
    }

    fn tag(&mut self) -> String {
        format!("t{}", self.pick(TAGS))
    }

    async fn send(&self, request: Request<'_>) -> Result<Reply, Gone> {
        self.gauge.requests.send_modify(|sent| *sent += 1);
        let reply = request.try_send().await.map_err(|_| Gone)?;
        assert!(reply.status.as_u16() < 500, "a request failed: {reply:#?}");
        Ok(reply)
    }

    fn layer(&mut self) -> Bytes {
        match self.pick(8) {
            0 => {
                let bytes = 2 * 1024 * 1024 + self.pick(3 * 1024 * 1024);
                self.worker.seed.bytes(usize::try_from(bytes).expect("a layer fits into memory"))
            }
            1..=2 => Seed::new(1_000 + self.pick(SHARED_LAYERS)).bytes(SHARED_LAYER_BYTES),
            _ => {
                let bytes = 1 + self.pick(24 * 1024);
                self.worker.seed.bytes(usize::try_from(bytes).expect("a layer fits into memory"))
            }
        }
    }

    async fn push(&mut self) -> Result<(), Gone> {
        let repository = self.repository();
        let layers = 1 + self.pick(2);
        let mut image = ImageBuilder::new(&mut self.worker.seed).no_layers();
        for _ in 0..layers {
            image = image.layer(OCI_LAYER_GZIP, self.layer());
        }
        let tree = Arc::new(image.build());
        for blob in &tree.blobs {
            self.push_blob(&repository, blob).await?;
        }
        let tag = self.tag();
        self.put_manifest(&repository, &tree, &tag).await
    }

    async fn put_manifest(&mut self, repository: &Repository, tree: &Arc<Tree>, tag: &str) -> Result<(), Gone> {
        self.worker.ledger.pushing(repository.name(), tree, tag);
        let put = self.client.put(repository.manifest_path(tag)).header("content-type", &tree.root().media_type);
        let reply = self.send(put.body(tree.root().bytes.clone())).await?;
        if reply.code() == "MANIFEST_BLOB_UNKNOWN" {
            // The grace was over before the manifest came.
            self.worker.ledger.refused(repository.name(), tree, tag);
        } else {
            drop(reply.expect_status(201));
            self.worker.ledger.pushed(repository.name(), tree, tag);
        }
        Ok(())
    }

    async fn push_blob(&mut self, repository: &Repository, blob: &Item) -> Result<(), Gone> {
        let uploads = repository.path("blobs/uploads/");
        match self.pick(4) {
            0 => {
                let post = self.client.post(with_digest(&uploads, &blob.digest));
                let post = post.header(CONTENT_TYPE.as_str(), OCTET_STREAM).body(blob.bytes.clone());
                self.send(post).await?.expect_status(201);
            }
            1 => {
                let location = self.send(self.client.post(uploads)).await?.expect_status(202).location();
                let put = self.client.put(with_digest(&location, &blob.digest));
                let put = put.header(CONTENT_TYPE.as_str(), OCTET_STREAM).body(blob.bytes.clone());
                self.send(put).await?.expect_status(201);
            }
            how => {
                let pieces = if how == 2 { 1 } else { 3 };
                let session = self.begin(repository, &blob.bytes).await?;
                while self.worker.ledger.sessions[session].acknowledged < blob.bytes.len() {
                    self.send_chunk(session, blob.bytes.len().div_ceil(pieces).max(2)).await?;
                }
                let noted = &mut self.worker.ledger.sessions[session];
                noted.closing = true;
                let close = self.client.put(with_digest(&noted.location, &blob.digest));
                self.send(close).await?.expect_status(201);
                self.worker.ledger.sessions.pop();
            }
        }
        Ok(())
    }

    /// Opens an upload and notes it; its place among the sessions.
    async fn begin(&mut self, repository: &Repository, content: &Bytes) -> Result<usize, Gone> {
        let post = self.client.post(repository.path("blobs/uploads/"));
        let location = self.send(post).await?.expect_status(202).location();
        let repository = repository.name().to_owned();
        let session =
            Session { repository, location, content: content.clone(), acknowledged: 0, sent: 0, closing: false };
        self.worker.ledger.sessions.push(session);
        Ok(self.worker.ledger.sessions.len() - 1)
    }

    /// Sends the next chunk, with `Content-Range` when it is not the whole.
    async fn send_chunk(&mut self, session: usize, bytes: usize) -> Result<(), Gone> {
        let noted = &mut self.worker.ledger.sessions[session];
        let (start, whole) = (noted.acknowledged, noted.content.len());
        let end = whole.min(start + bytes);
        noted.sent = end;
        let (location, chunk) = (noted.location.clone(), noted.content.slice(start..end));
        let patch = self.client.patch(location);
        let patch = if end - start == whole { patch.chunked([chunk]) } else { chunk_request(patch, start, chunk) };
        self.send(patch).await?.expect_status(202);
        self.worker.ledger.sessions[session].acknowledged = end;
        Ok(())
    }

    /// Pushes an image of the first repository to the second one, its blobs mounted.
    async fn mount(&mut self) -> Result<(), Gone> {
        let [from, to] = self.worker.repositories.clone();
        let Some(tree) = self.choose(self.worker.ledger.present(&from)) else { return Ok(()) };
        let to = Repository::new(self.client, &to);
        for blob in &tree.blobs {
            let path = to.path(format_args!("blobs/uploads/?mount={}&from={from}", blob.digest));
            // A manifest of the first repository names the blob, so that it cannot be collected.
            self.send(self.client.post(path)).await?.expect_status(201);
        }
        let tag = self.tag();
        self.put_manifest(&to, &tree, &tag).await
    }

    async fn move_tag(&mut self) -> Result<(), Gone> {
        let repository = self.repository();
        let Some(tree) = self.choose(self.worker.ledger.present(repository.name())) else { return Ok(()) };
        let tag = self.tag();
        self.put_manifest(&repository, &tree, &tag).await
    }

    async fn delete_tag(&mut self) -> Result<(), Gone> {
        let repository = self.repository();
        let Some(tag) = self.choose(self.worker.ledger.tagged(repository.name())) else { return Ok(()) };
        self.worker.ledger.untagging(repository.name(), &tag);
        self.send(self.client.delete(repository.manifest_path(&tag))).await?.expect_status(202);
        self.worker.ledger.untagged(repository.name(), &tag);
        Ok(())
    }

    async fn delete_manifest(&mut self) -> Result<(), Gone> {
        let repository = self.repository();
        let Some(tree) = self.choose(self.worker.ledger.present(repository.name())) else { return Ok(()) };
        let digest = tree.root().digest;
        self.worker.ledger.deleting(repository.name(), digest);
        self.send(self.client.delete(repository.manifest_path(digest))).await?.expect_status(202);
        self.worker.ledger.deleted(repository.name(), digest);
        Ok(())
    }

    /// Begins an upload and leaves it.
    async fn abandon(&mut self) -> Result<(), Gone> {
        let repository = self.repository();
        let content = self.worker.seed.bytes(40 * 1024);
        let session = self.begin(&repository, &content).await?;
        self.send_chunk(session, 15 * 1024).await
    }
}
