//! docker: a daemon of the test's own, with the classic image store and with the containerd one.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::image::{Layout, big_layer_size, content};
use super::kogge::{PASSWORD, Scheme, wait_for_line};
use super::over_both_schemes;
use super::sandbox::{Sandbox, digest_in};

over_both_schemes!(
    the_classic_store_pushes_and_pulls,
    the_containerd_store_pushes_and_pulls,
    the_classic_store_pulls_zstd_layers_of_two_architectures,
    the_containerd_store_pulls_zstd_layers_of_two_architectures,
);

/// Which image store the daemon uses; the media types that it pushes follow from it.
#[derive(Clone, Copy)]
pub(super) enum Store {
    Classic,
    Containerd,
}

/// A running `dockerd`, ended with this value.
pub(super) struct Daemon(Child);

impl Daemon {
    /// Starts the daemon in the sandbox and waits until it listens.
    ///
    /// It gets no network, since no container is run, and mounts of its own, which end with it.
    pub(super) fn start(sandbox: &Sandbox, store: Store) -> Self {
        let (driver, containerd) = match store {
            Store::Classic => ("vfs", false),
            Store::Containerd => ("native", true),
        };
        let settings = serde_json::json!({"features": {"containerd-snapshotter": containerd}});
        let settings = sandbox.write("daemon.json", settings.to_string());
        let with_mounts = sandbox.command("dockerd");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]).arg(with_mounts.get_program());
        command.args(with_mounts.get_args());
        command.env_clear().current_dir(sandbox.path(""));
        for (name, value) in with_mounts.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.arg("--host").arg(format!("unix://{}", sandbox.path("docker.sock").display()));
        command.arg("--config-file").arg(settings).args(["--storage-driver", driver]);
        command.arg("--data-root").arg(sandbox.path("docker-data"));
        command.arg("--exec-root").arg(sandbox.path("docker-exec"));
        command.arg("--pidfile").arg(sandbox.path("docker.pid"));
        command.args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--userland-proxy=false"]);
        let mut process = command.stderr(Stdio::piped()).spawn().expect("unshare can be started");
        let log = BufReader::new(process.stderr.take().expect("stderr was asked to be piped"));
        if let Err(text) = wait_for_line(log, "API listen on") {
            panic!("dockerd ended before it listened; it needs root\n{text}");
        }
        Self(process)
    }
}

impl Drop for Daemon {
    /// Asks the daemon to end, so that it ends its containerd too.
    fn drop(&mut self) {
        let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.0.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(self.0.kill());
        }
        drop(self.0.wait());
    }
}

fn log_in(sandbox: &Sandbox) {
    sandbox.run(&format!("docker login -u admin -p {PASSWORD} {}", sandbox.kogge.host));
}

/// Builds an image of one file on nothing.
pub(super) fn build(sandbox: &Sandbox, image: &str, seed: u64, size: usize) {
    sandbox.write("build/data", content(seed, size));
    sandbox.write("build/Dockerfile", format!("FROM scratch\nCOPY data /data\nLABEL seed={seed}\nCMD [\"/data\"]\n"));
    sandbox.run(&format!("docker build -t {image} {}", sandbox.path("build").display()));
}

/// The file that an image holds. `options` go to the creation of a container from it.
pub(super) fn file_of(sandbox: &Sandbox, options: &str, image: &str) -> Vec<u8> {
    let container = sandbox.run(&format!("docker create {options} {image} /data"));
    sandbox.run(&format!("docker cp {}:/data {}", container.trim(), sandbox.path("copied").display()));
    sandbox.run(&format!("docker rm {}", container.trim()));
    std::fs::read(sandbox.path("copied")).expect("docker wrote the file")
}

fn the_classic_store_pushes_and_pulls(sandbox: &Sandbox) {
    push_and_pull(sandbox, Store::Classic, "application/vnd.docker.distribution.manifest.v2+json");
}

fn the_containerd_store_pushes_and_pulls(sandbox: &Sandbox) {
    push_and_pull(sandbox, Store::Containerd, "application/vnd.oci.image.manifest.v1+json");
}

fn push_and_pull(sandbox: &Sandbox, store: Store, media_type: &str) {
    let _daemon = Daemon::start(sandbox, store);
    let (first, second) = (sandbox.image("team/docker:v1"), sandbox.image("team/docker:v2"));
    build(sandbox, &first, 60, big_layer_size());
    sandbox.run_refused(&format!("docker push {first}"));
    sandbox.run_refused(&format!("docker login -u admin -p wrong {}", sandbox.kogge.host));
    log_in(sandbox);
    let pushed = sandbox.run(&format!("docker push {first}"));
    let digest = digest_in(pushed.lines().last().unwrap_or_default());
    sandbox.run(&format!("docker tag {first} {second}"));
    assert!(sandbox.run(&format!("docker push {second}")).contains(&digest), "one image has one digest");
    let by_digest = sandbox.image(&format!("team/docker@{digest}"));
    for name in [&second, &by_digest] {
        sandbox.run(&format!("docker image rm --force {first}"));
        sandbox.run("docker image prune --all --force");
        sandbox.run(&format!("docker pull {name}"));
        assert!(file_of(sandbox, "", name) == content(60, big_layer_size()), "{name}: the file changed on its way");
        sandbox.run(&format!("docker image rm --force {name}"));
    }
    let manifest = sandbox.run(&format!("docker manifest inspect --insecure {first}"));
    let manifest: Value = serde_json::from_str(&manifest).expect("docker prints JSON");
    assert_eq!(manifest["mediaType"], media_type);
    sandbox.run_refused(&format!("docker pull {}", sandbox.image("team/docker:absent")));
    sandbox.run(&format!("docker logout {}", sandbox.kogge.host));
    sandbox.run_refused(&format!("docker pull {first}"));
}

fn the_classic_store_pulls_zstd_layers_of_two_architectures(sandbox: &Sandbox) {
    pull_zstd(sandbox, Store::Classic);
}

fn the_containerd_store_pulls_zstd_layers_of_two_architectures(sandbox: &Sandbox) {
    pull_zstd(sandbox, Store::Containerd);
}

/// Pulls what skopeo pushed: docker itself pushes neither zstd nor, here, two architectures at once.
fn pull_zstd(sandbox: &Sandbox, store: Store) {
    let _daemon = Daemon::start(sandbox, store);
    log_in(sandbox);
    let layout = Layout::write(sandbox, "layout");
    let image = sandbox.image("team/zstd:v1");
    let reach = if sandbox.is_tls() { "--dest-cert-dir certs" } else { "--dest-tls-verify=false" };
    let login = format!("--dest-creds admin:{PASSWORD}");
    let zstd = "--all --dest-compress --dest-compress-format zstd";
    sandbox.run(&format!("skopeo copy {zstd} {reach} {login} oci:{layout}:v1 docker://{image}"));
    for (seed, size, architecture) in [(1, big_layer_size(), "amd64"), (2, 4096, "arm64")] {
        let platform = format!("--platform linux/{architecture}");
        sandbox.run(&format!("docker pull {platform} {image}"));
        let file = file_of(sandbox, &platform, &image);
        assert!(file == content(seed, size), "{architecture}: another image was pulled");
        sandbox.run(&format!("docker image rm --force {image}"));
    }
}

/// Over plain HTTP only: `docker manifest push` never speaks TLS to an address of this machine.
#[test]
fn a_manifest_list_is_created_and_pulled() {
    let sandbox = &Sandbox::start(Scheme::Plain);
    let _daemon = Daemon::start(sandbox, Store::Classic);
    log_in(sandbox);
    let list = sandbox.image("team/list:v1");
    let mut parts = Vec::new();
    for (seed, architecture) in [(61, "amd64"), (62, "arm64")] {
        let image = sandbox.image(&format!("team/list:{architecture}"));
        build(sandbox, &image, seed, 10_000);
        sandbox.run(&format!("docker push {image}"));
        parts.push((image, architecture));
    }
    sandbox.run(&format!("docker manifest create --insecure {list} {} {}", parts[0].0, parts[1].0));
    for (image, architecture) in &parts {
        sandbox.run(&format!("docker manifest annotate --os linux --arch {architecture} {list} {image}"));
    }
    sandbox.run(&format!("docker manifest push --insecure {list}"));
    for (seed, architecture) in [(61, "amd64"), (62, "arm64")] {
        sandbox.run("docker image prune --all --force");
        sandbox.run(&format!("docker pull --platform linux/{architecture} {list}"));
        assert!(file_of(sandbox, "", &list) == content(seed, 10_000), "{architecture}: another image was pulled");
    }
}
