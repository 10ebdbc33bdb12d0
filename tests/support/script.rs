//! A mail server that plays a transcript over TCP, and insists on its client's lines.
//!
//! `S: x` is sent, `C: x` must arrive exactly, `C: x *` may end in anything; at the end the server says no more, and neither
//! may the client, which has to leave (after `hang` without being told that nothing comes). What was heard instead of what is written is the outcome of [`Script::finished`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use super::listener::Listening;
use super::wait::PATIENCE;

/// One connection of a scripted server.
pub struct Script {
    port: u16,
    player: JoinHandle<Result<(), String>>,
}

impl Script {
    /// Listens, and plays to the first client what is `written` for this port.
    pub fn play(written: impl FnOnce(u16) -> String) -> Script {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let port = listener.local_addr().unwrap().port();
        let transcript = written(port);
        let player = std::thread::spawn(move || {
            let (stream, _) = listener.accept().map_err(|error| error.to_string())?;
            follow(stream, &transcript)
        });
        Script { port, player }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The client said what is written, all of it and nothing else, and left.
    pub fn finished(self) {
        self.player.join().unwrap().unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

/// A server that plays the same to everybody who comes.
pub fn play_to_all(transcript: &str) -> Listening {
    let transcript = transcript.to_owned();
    Listening::start(move |stream| drop(follow(stream, &transcript)))
}

fn follow(stream: TcpStream, transcript: &str) -> Result<(), String> {
    let _ = stream.set_read_timeout(Some(PATIENCE.saturating_sub(Duration::from_secs(5))));
    let mut stream = BufReader::new(stream);
    for line in transcript.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        if line == "hang" {
            return nothing_more(&mut stream);
        }
        let (who, text) = line.split_at_checked(2).ok_or("a line without a speaker")?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        if who == "S:" {
            stream
                .get_mut()
                .write_all(format!("{text}\r\n").as_bytes())
                .map_err(|error| error.to_string())?;
            continue;
        }
        let mut heard = String::new();
        stream.read_line(&mut heard).map_err(|error| format!("{error} instead of {text:?}"))?;
        let is_right = match text.strip_suffix(" *") {
            Some(start) => heard.starts_with(start) && heard.ends_with("\r\n"),
            None => heard == format!("{text}\r\n"),
        };
        if !is_right {
            return Err(format!("heard {heard:?} instead of {text:?}"));
        }
    }
    // It may be gone already.
    let _ = stream.get_ref().shutdown(Shutdown::Write);
    nothing_more(&mut stream)
}

/// The client leaves without another word.
fn nothing_more(stream: &mut BufReader<TcpStream>) -> Result<(), String> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            Err(format!("the client stays: {error}"))
        }
        _ if heard.is_empty() => Ok(()),
        _ => Err(format!("heard {:?} after the end", String::from_utf8_lossy(&heard))),
    }
}
