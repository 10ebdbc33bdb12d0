//! Delivery by LMTP (RFC 2033): how new mail reaches the test server.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// Hands `message` to the LMTP server on `port` for every recipient; the instant of the last 250.
pub fn deliver(port: u16, sender: &str, recipients: &[&str], message: &[u8]) -> Result<Instant> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut peer = BufReader::new(stream);
    expect(&mut peer, "220")?;
    command(&mut peer, "LHLO test.invalid", "250")?;
    command(&mut peer, &format!("MAIL FROM:<{sender}>"), "250")?;
    for recipient in recipients {
        command(&mut peer, &format!("RCPT TO:<{recipient}>"), "250")?;
    }
    command(&mut peer, "DATA", "354")?;
    peer.get_mut().write_all(&stuffed(message))?;
    let mut at = Instant::now();
    for _ in recipients {
        expect(&mut peer, "250")?;
        at = Instant::now();
    }
    peer.get_mut().write_all(b"QUIT\r\n")?;
    Ok(at)
}

/// The message with dots doubled and the final dot (RFC 5321 §4.5.2); lines must end in CRLF.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

fn command(peer: &mut BufReader<TcpStream>, line: &str, code: &str) -> Result<()> {
    peer.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
    expect(peer, code)
}

/// Reads one reply, which may have several lines.
fn expect(peer: &mut BufReader<TcpStream>, code: &str) -> Result<()> {
    loop {
        let mut line = String::new();
        peer.read_line(&mut line)?;
        if !line.starts_with(code) {
            return Err(Error::other(format!("expected {code}, got {:?}", line.trim_end())));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
