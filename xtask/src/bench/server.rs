//! The servers that are compared, each as it is shipped: access logs on and in a file, metrics on, writes durable.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::http::{Endpoint, Request};
use super::process::Tree;

const ADMIN: &str = "admin";
const PASSWORD: &str = "bench-password-of-no-worth";
/// How long a server may take until it listens.
const START_TIME: Duration = Duration::from_secs(20);

/// A running server. Dropping it stops it.
pub(super) struct Server {
    pub(super) name: &'static str,
    child: Child,
    pub(super) plain: Option<Endpoint>,
    pub(super) tls: Option<Endpoint>,
}

impl Server {
    pub(super) fn tree(&self) -> Tree {
        Tree(self.child.id())
    }

    /// Where it serves plain HTTP.
    pub(super) fn http(&self) -> Result<&Endpoint> {
        self.plain.as_ref().with_context(|| format!("{} serves no plain HTTP", self.name))
    }

    /// Where it serves HTTPS.
    pub(super) fn https(&self) -> Result<&Endpoint> {
        self.tls.as_ref().with_context(|| format!("{} serves no HTTPS", self.name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that has ended already needs no signal.
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// Programs, folders and the certificate that all servers use.
pub(super) struct Site {
    /// The registry's binary.
    pub(super) kogge: PathBuf,
    /// Folder of the other programs.
    pub(super) tools: PathBuf,
    /// Everything that a run writes; on the disk that is measured.
    pub(super) folder: PathBuf,
    trust: Arc<ClientConfig>,
}

impl Site {
    /// Makes an empty folder with a certificate in it.
    pub(super) fn new(kogge: PathBuf, tools: PathBuf, folder: PathBuf) -> Result<Self> {
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("www"))?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        fs::write(folder.join("cert.pem"), made.cert.pem())?;
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert.der().to_vec()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let trust = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { kogge, tools, folder, trust: Arc::new(trust) })
    }

    /// Starts the registry on a data directory of its own, named `place`.
    pub(super) fn kogge(&self, place: &str, tls: bool) -> Result<Server> {
        let mut command = Command::new(&self.kogge);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(self.data_dir(place));
        command.env("KOGGE_ADMIN_PASSWORD", PASSWORD);
        if tls {
            let pair = format!("{},{}", self.folder.join("cert.pem").display(), self.folder.join("key.pem").display());
            command.args(["--tls", &pair]);
        }
        let (child, address) = self.start(command, place, "listening on http")?;
        let authorization = basic(ADMIN, PASSWORD);
        let endpoint = Endpoint { address, tls: tls.then(|| Arc::clone(&self.trust)), authorization };
        let (plain, tls) = if tls { (None, Some(endpoint)) } else { (Some(endpoint), None) };
        Ok(Server { name: "kogge", child, plain, tls })
    }

    fn data_dir(&self, place: &str) -> PathBuf {
        self.folder.join(place).join("data")
    }

    /// Gives the registry at `place` a user who may only pull from `repositories`; its login.
    pub(super) fn put_user(&self, place: &str, name: &str, repositories: &str) -> Result<String> {
        let mut command = Command::new(&self.kogge);
        command.args(["admin", "user", "put", name, "--role", "AcrPull", "--repositories", repositories, "--data-dir"]);
        command.arg(self.data_dir(place)).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().context("cannot start kogge admin")?;
        child.stdin.take().context("a pipe")?.write_all(PASSWORD.as_bytes())?;
        if !child.wait()?.success() {
            bail!("kogge admin user put failed");
        }
        Ok(basic(name, PASSWORD))
    }

    /// Starts Debian's docker-registry.
    pub(super) fn docker_registry(&self) -> Result<Server> {
        let own = self.folder.join("docker-registry");
        fs::create_dir_all(&own)?;
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  filesystem:\n    \
             rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n",
            own.join("data").display()
        );
        let settings = own.join("config.yml");
        fs::write(&settings, text)?;
        let mut command = Command::new(self.tools.join("docker-registry"));
        command.arg("serve").arg(&settings);
        let (child, address) = self.start(command, "docker-registry", "listening on ")?;
        let plain = Endpoint { address, tls: None, authorization: String::new() };
        Ok(Server { name: "docker-registry", child, plain: Some(plain), tls: None })
    }

    /// Starts nginx on the files in `www`, with Debian's settings, over plain HTTP and TLS 1.3.
    pub(super) fn nginx(&self) -> Result<Server> {
        let own = self.folder.join("nginx");
        fs::create_dir_all(&own)?;
        let [plain, secure] = free_addresses()?;
        let (own_path, folder) = (own.display(), self.folder.display());
        // Workers that were started by root become another user, who may not enter this folder.
        let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
        let text = format!(
            "{user} daemon off; worker_processes auto; pid {own_path}/pid; error_log {own_path}/error.log;\n\
             events {{ worker_connections 768; }}\n\
             http {{\n  sendfile on; tcp_nopush on; types_hash_max_size 2048; keepalive_requests 10000000;\n  \
             access_log {own_path}/access.log; default_type application/octet-stream;\n  \
             client_body_temp_path {own_path}/t1; proxy_temp_path {own_path}/t2; fastcgi_temp_path {own_path}/t3;\n  \
             uwsgi_temp_path {own_path}/t4; scgi_temp_path {own_path}/t5;\n  \
             ssl_protocols TLSv1.3; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;\n  \
             server {{ listen {plain}; listen {secure} ssl; root {folder}/www; }}\n}}\n"
        );
        let settings = own.join("nginx.conf");
        fs::write(&settings, text)?;
        let mut command = Command::new(self.tools.join("nginx"));
        command.arg("-e").arg(own.join("error.log")).arg("-p").arg(&own).arg("-c").arg(&settings);
        let output = File::create(own.join("output"))?;
        command.stdout(output.try_clone()?).stderr(output).stdin(Stdio::null());
        let child = command.spawn().context("cannot start nginx")?;
        let endpoint = |address, tls| Endpoint { address, tls, authorization: String::new() };
        let server = Server {
            name: "nginx",
            child,
            plain: Some(endpoint(plain, None)),
            tls: Some(endpoint(secure, Some(Arc::clone(&self.trust)))),
        };
        wait(|| Ok(server.http()?.connect().ok())).with_context(|| format!("nginx does not listen: see {own_path}"))?;
        Ok(server)
    }

    /// Starts `command` with its output in files, and waits until a line of them names its address after `sign`.
    fn start(&self, mut command: Command, place: &str, sign: &str) -> Result<(Child, SocketAddr)> {
        let own = self.folder.join(place);
        fs::create_dir_all(&own)?;
        let (stdout, stderr) = (own.join("stdout"), own.join("stderr"));
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        let mut child = command.spawn().with_context(|| format!("cannot start {place}"))?;
        let found = wait(|| {
            if let Some(status) = child.try_wait()? {
                bail!("{place} ended: {status}\n{}", fs::read_to_string(&stderr)?);
            }
            Ok(address_after(&stdout, sign)?.or(address_after(&stderr, sign)?))
        });
        match found {
            Ok(address) => Ok((child, address)),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error.context(format!("{place} did not start")))
            }
        }
    }
}

/// The address in the first line of the file at `path` that holds `sign`.
fn address_after(path: &Path, sign: &str) -> Result<Option<SocketAddr>> {
    let text = fs::read_to_string(path)?;
    let lines = text.lines().filter_map(|line| line.split_once(sign));
    let mut found = lines.filter_map(|(_, rest)| {
        let start = rest.find(|letter: char| letter.is_ascii_digit())?;
        let end = rest[start..].find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter));
        rest[start..].get(..end.unwrap_or(rest.len() - start))?.parse().ok()
    });
    Ok(found.next())
}

/// Asks until there is an answer.
fn wait<T>(mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + START_TIME;
    loop {
        if let Some(found) = ask()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("waited for {} s", START_TIME.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Addresses that nobody listens on, for a server that cannot pick one itself.
fn free_addresses() -> Result<[SocketAddr; 2]> {
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok([one.local_addr()?, other.local_addr()?])
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

/// The same registry, with a token of `scope` instead of a password.
pub(super) fn with_token(endpoint: &Endpoint, scope: &str) -> Result<Endpoint> {
    if endpoint.authorization.is_empty() {
        return Ok(endpoint.clone());
    }
    let mut connection = endpoint.connect()?;
    let target = format!("/oauth2/token?service=127.0.0.1&scope={scope}");
    let request = Request::new("GET", &target);
    connection.send(&request, &[])?;
    let answer = connection.answer()?;
    let body = String::from_utf8(connection.body(&answer)?)?;
    let token = body.split("\"access_token\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let token = token.with_context(|| format!("no token for {scope}: {} {body}", answer.status))?;
    Ok(endpoint.with_authorization(&format!("Bearer {token}")))
}
