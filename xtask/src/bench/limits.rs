//! What this machine can do at all, measured in the same run as the servers.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use sha2::{Digest, Sha256};

use super::MIB;
use super::content::Blob;

/// Bytes of a small durable write.
const SMALL_BYTES: usize = 4096;

/// MiB per second of sha256 on one core, over `blob`.
pub(super) fn sha256(blob: &Blob) -> f64 {
    let started = Instant::now();
    let mut hasher = Sha256::new();
    for part in blob.parts(0..blob.bytes) {
        hasher.update(part);
    }
    let digest = hasher.finalize();
    assert!(digest.iter().any(|byte| *byte != 0), "the digest is used, so that it is computed");
    blob.bytes as f64 / MIB / started.elapsed().as_secs_f64()
}

/// MiB per second of writing `blob` into one new file and syncing it.
pub(super) fn disk_write(folder: &Path, blob: &Blob) -> Result<f64> {
    let path = folder.join("limit-write");
    let started = Instant::now();
    let mut file = File::create(&path)?;
    for part in blob.parts(0..blob.bytes) {
        file.write_all(part)?;
    }
    file.sync_all()?;
    let rate = blob.bytes as f64 / MIB / started.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    Ok(rate)
}

/// Durable small writes per second with `threads` threads: make a file of 4 KiB, sync it, name it, sync its folder.
pub(super) fn small_writes(folder: &Path, threads: usize, time: Duration) -> Result<f64> {
    let folder = folder.join("limit-small");
    let written = AtomicU64::new(0);
    let started = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let (own, written) = (folder.join(worker.to_string()), &written);
                scope.spawn(move || write_small(&own, started + time, written))
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a writer panicked"))?)
    })?;
    let rate = written.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    fs::remove_dir_all(&folder)?;
    Ok(rate)
}

fn write_small(folder: &Path, end: Instant, written: &AtomicU64) -> Result<()> {
    fs::create_dir_all(folder)?;
    let directory = File::open(folder)?;
    let (content, draft) = ([7; SMALL_BYTES], folder.join("draft"));
    let mut count = 0_u64;
    while Instant::now() < end {
        let mut file = File::create(&draft)?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&draft, folder.join(count.to_string()))?;
        directory.sync_all()?;
        count += 1;
    }
    written.fetch_add(count, Ordering::Relaxed);
    Ok(())
}

/// MiB per second through one loopback connection.
pub(super) fn loopback(bytes: u64) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let started = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let sender = scope.spawn(move || -> Result<()> {
            let (mut stream, _) = listener.accept()?;
            let part = vec![7; 256 * 1024];
            let mut left = bytes;
            while left > 0 {
                let now = part.len().min(usize::try_from(left).unwrap_or(part.len()));
                stream.write_all(&part[..now])?;
                left -= now as u64;
            }
            Ok(())
        });
        let mut stream = TcpStream::connect(address)?;
        let mut buffer = vec![0; 1024 * 1024];
        while stream.read(&mut buffer)? > 0 {}
        sender.join().map_err(|_| anyhow!("the sender panicked"))?
    })?;
    Ok(bytes as f64 / MIB / started.elapsed().as_secs_f64())
}
