//! A small HTTP/1.1 client over blocking sockets: one connection, kept alive, one request at a time.
//!
//! It does as little as it can, because it shares the machine with the servers that it loads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Bytes that one read of a large body asks for.
const READ_BYTES: usize = 1024 * 1024;
/// Bytes that wait in front of the TLS layer, which by itself reads small pieces.
const TLS_READ_BYTES: usize = 256 * 1024;

/// A server's address and how to speak to it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// The value of `Authorization`; empty for none.
    pub(super) authorization: String,
}

impl Endpoint {
    /// The same server with another login.
    pub(super) fn with_authorization(&self, authorization: &str) -> Self {
        Self { authorization: authorization.to_owned(), ..self.clone() }
    }

    /// The address of `target` for other clients.
    pub(super) fn url(&self, target: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{target}", self.address)
    }

    pub(super) fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).with_context(|| format!("cannot connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from("localhost").context("a server's name")?;
                let client = ClientConnection::new(Arc::clone(config), name)?;
                Box::new(StreamOwned::new(client, Gathered(BufReader::with_capacity(TLS_READ_BYTES, stream))))
            }
        };
        Ok(Connection { stream: BufReader::with_capacity(16 * 1024, stream), endpoint: self.clone() })
    }
}

/// A socket that is read in large pieces and written at once.
struct Gathered(BufReader<TcpStream>);

impl Read for Gathered {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.get_mut().flush()
    }
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// What a request sends.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) content_type: &'a str,
    /// Bytes of the body, which the caller sends itself when it is large.
    pub(super) body_bytes: u64,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: &'a str, target: &'a str) -> Self {
        Self { method, target, content_type: "application/octet-stream", body_bytes: 0 }
    }
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    body_bytes: u64,
}

/// One connection.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    endpoint: Endpoint,
}

impl Connection {
    /// Sends a head. With `small`, a body that goes out with it in one write.
    pub(super) fn send(&mut self, request: &Request<'_>, small: &[u8]) -> Result<()> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\n",
            request.method, request.target, self.endpoint.address
        );
        if !self.endpoint.authorization.is_empty() {
            head += &format!("Authorization: {}\r\n", self.endpoint.authorization);
        }
        if !matches!(request.method, "GET" | "HEAD") {
            head += &format!("Content-Type: {}\r\nContent-Length: {}\r\n", request.content_type, request.body_bytes);
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(small);
        self.stream.get_mut().write_all(&bytes).context("the connection broke while sending")
    }

    /// Sends a part of a body.
    pub(super) fn send_body(&mut self, part: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(part).context("the connection broke while sending a body")
    }

    /// Reads the head of an answer.
    pub(super) fn answer(&mut self) -> Result<Answer> {
        let mut answer = Answer { status: 0, location: None, body_bytes: 0 };
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the server closed the connection");
            }
            let text = line.trim_end();
            if answer.status == 0 {
                answer.status = text.split(' ').nth(1).unwrap_or_default().parse().context("no HTTP status")?;
            } else if text.is_empty() {
                return Ok(answer);
            } else if let Some((name, value)) = text.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => answer.body_bytes = value.trim().parse().context("Content-Length")?,
                    "location" => answer.location = Some(value.trim().to_owned()),
                    "transfer-encoding" => bail!("an answer in chunks: not understood here"),
                    _ => {}
                }
            }
        }
    }

    /// Reads the body of `answer` and forgets it; the number of bytes.
    pub(super) fn skip_body(&mut self, answer: &Answer) -> Result<u64> {
        let mut left = answer.body_bytes;
        let buffered = usize::try_from(left).unwrap_or(usize::MAX).min(self.stream.buffer().len());
        self.stream.consume(buffered);
        left -= buffered as u64;
        if left == 0 {
            return Ok(answer.body_bytes);
        }
        let mut buffer = vec![0; READ_BYTES];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
            let got = self.stream.get_mut().read(&mut buffer[..want])?;
            if got == 0 {
                bail!("the body broke off");
            }
            left -= got as u64;
        }
        Ok(answer.body_bytes)
    }

    /// Reads the body of `answer`.
    pub(super) fn body(&mut self, answer: &Answer) -> Result<Vec<u8>> {
        let mut body = vec![0; usize::try_from(answer.body_bytes)?];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    /// Sends a request with a small body, reads the whole answer, and fails unless its status is `expected`.
    pub(super) fn exchange(&mut self, request: &Request<'_>, body: &[u8], expected: u16) -> Result<Answer> {
        let request = Request { body_bytes: body.len() as u64, ..*request };
        self.send(&request, body)?;
        self.expect(&request, expected)
    }

    /// Reads the whole answer to `request`, and fails unless its status is `expected`.
    pub(super) fn expect(&mut self, request: &Request<'_>, expected: u16) -> Result<Answer> {
        let answer = self.answer()?;
        if answer.status == expected {
            if request.method != "HEAD" {
                self.skip_body(&answer)?;
            }
            return Ok(answer);
        }
        let body = self.body(&answer)?;
        let (method, target) = (request.method, request.target);
        bail!("{method} {target}: {} instead of {expected}: {}", answer.status, String::from_utf8_lossy(&body))
    }
}
