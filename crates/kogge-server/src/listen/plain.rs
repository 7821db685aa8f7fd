//! What a client hears that speaks plain HTTP to an encrypted port.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The first byte of a TLS record that carries a handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// Bytes of a misled request that are read before the connection is closed.
const DISCARDED_BYTES_MAX: u64 = 64 * 1024;
/// How long the client may take to hear the answer.
const FAREWELL: Duration = Duration::from_secs(1);

const ANSWER: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\
                      Connection: close\r\n\r\nthis port speaks HTTPS; write https://\r\n";

/// Whether the first byte is not that of a TLS handshake but of an HTTP method.
pub(super) async fn is_plain_http(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0];
    let read = stream.peek(&mut first).await?;
    Ok(read == 1 && first[0] != TLS_HANDSHAKE && first[0].is_ascii_uppercase())
}

/// Tells the client and hangs up. What it sends is read first, or a reset would swallow the answer.
pub(super) async fn say_so(mut stream: TcpStream) {
    let farewell = async {
        stream.write_all(ANSWER.as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(DISCARDED_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Nothing is owed to a client that does not listen.
    let _ = timeout(FAREWELL, farewell).await;
}
