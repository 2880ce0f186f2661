//! TCP connections to devices and serial servers.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

use super::OpenError;

/// Connects within `timeout`. Small frames leave at once, and a peer that vanished is noticed by the kernel.
///
/// # Errors
/// When the name does not resolve, nobody listens, or the time is over.
pub async fn connect(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, OpenError> {
    let failed = |reason: String| OpenError::Connect { address: format!("{host}:{port}"), reason };
    let stream = match tokio::time::timeout(timeout, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("no answer within {} ms", timeout.as_millis()))),
    };
    set_up(&stream).map_err(|error| failed(error.to_string()))?;
    Ok(stream)
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}
