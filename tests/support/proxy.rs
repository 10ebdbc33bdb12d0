//! A TCP proxy that makes trouble: cut after N bytes, stall, refuse, close all now. TLS passes through unread.
//!
//! It stands between posthaste and Dovecot for what networks do. For what servers say, see `meddler`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::listener::{Connections, Listening};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From posthaste to the server.
    Up,
    /// From the server to posthaste.
    Down,
}

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Hands all on.
    Pass,
    /// Accepts and closes at once.
    Refuse,
    /// Keeps connections open and hands nothing on, like a dead link without RST.
    Stall,
    /// Hands on what posthaste says, and keeps back what the server answers.
    Mute,
    /// Cuts the connection after so many more bytes in this direction, once; then passes.
    CutAfter(Direction, usize),
}

struct State {
    mood: Mood,
    connections: usize,
    up: usize,
    down: usize,
    opened: Vec<(Instant, Option<Instant>)>,
    arrivals: Vec<Instant>,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

/// A proxy to one port of 127.0.0.1; it ends with this value.
pub struct Proxy {
    shared: Shared,
    listening: Listening,
    upstream: Connections,
}

impl Proxy {
    /// A proxy in front of `target`.
    pub fn to(target: u16) -> Proxy {
        let state = State {
            mood: Mood::Pass,
            connections: 0,
            up: 0,
            down: 0,
            opened: Vec::new(),
            arrivals: Vec::new(),
        };
        let shared: Shared = Arc::new((Mutex::new(state), Condvar::new()));
        let upstream = Connections::default();
        let (served, opened) = (shared.clone(), upstream.clone());
        let listening = Listening::start(move |client| {
            served.0.lock().unwrap().connections += 1;
            if served.0.lock().unwrap().mood == Mood::Refuse {
                return drop(client.shutdown(Shutdown::Both));
            }
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else {
                return drop(client.shutdown(Shutdown::Both));
            };
            let _ = server.set_nodelay(true);
            let (Ok(client_out), Ok(server_out)) = (client.try_clone(), server.try_clone()) else { return };
            let (Ok(from_server), down) = (server.try_clone(), served.clone()) else { return };
            let number = served.0.lock().unwrap().open();
            opened.during(&server, || {
                std::thread::spawn(move || pump(from_server, client_out, Direction::Down, &down));
                pump(client, server_out, Direction::Up, &served);
            });
            served.0.lock().unwrap().opened[number].1 = Some(Instant::now());
        });
        Proxy { shared, listening, upstream }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.listening.port()
    }

    /// Changes what happens from now on, also to open connections.
    pub fn set(&self, mood: Mood) {
        self.shared.0.lock().unwrap().mood = mood;
        self.shared.1.notify_all();
    }

    /// Cuts every open connection.
    pub fn cut(&self) {
        self.listening.cut();
        self.upstream.cut();
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.0.lock().unwrap().connections
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.shared.0.lock().unwrap().opened.iter().filter(|(_, ended)| ended.is_none()).count()
    }

    /// Bytes handed on in a direction.
    pub fn bytes(&self, direction: Direction) -> usize {
        let state = self.shared.0.lock().unwrap();
        if direction == Direction::Up { state.up } else { state.down }
    }

    /// How long each connection has lived, in the order in which they were opened.
    pub fn lives(&self) -> Vec<Duration> {
        let state = self.shared.0.lock().unwrap();
        let end = |end: Option<Instant>| end.unwrap_or_else(Instant::now);
        state.opened.iter().map(|(start, ended)| end(*ended).duration_since(*start)).collect()
    }

    /// When the server first said something after `start`, on any connection.
    pub fn heard_since(&self, start: Instant) -> Option<Instant> {
        self.shared.0.lock().unwrap().arrivals.iter().copied().find(|at| *at > start)
    }

    /// For how long the server has said nothing.
    pub fn silence(&self) -> Duration {
        self.shared.0.lock().unwrap().arrivals.last().map(Instant::elapsed).unwrap_or_default()
    }
}

impl State {
    fn open(&mut self) -> usize {
        self.opened.push((Instant::now(), None));
        self.opened.len() - 1
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Pumps that stall must wake up to find their connections gone.
        self.cut();
        self.set(Mood::Pass);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, direction: Direction, shared: &Shared) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        let (pass, cut) = allowed(shared, direction, length);
        if to.write_all(&buffer[..pass]).is_err() || cut || length == 0 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// How many of `length` bytes go on, and whether the connection is then cut; waits while the proxy stalls.
fn allowed(shared: &Shared, direction: Direction, length: usize) -> (usize, bool) {
    let state = shared.0.lock().unwrap();
    let is_stuck = |state: &mut State| match state.mood {
        Mood::Stall => true,
        Mood::Mute => direction == Direction::Down,
        _ => false,
    };
    let mut state = shared.1.wait_while(state, is_stuck).unwrap();
    let (pass, cut) = match state.mood {
        Mood::CutAfter(way, left) if way == direction && left <= length => {
            state.mood = Mood::Pass;
            (left, true)
        }
        Mood::CutAfter(way, left) if way == direction => {
            state.mood = Mood::CutAfter(way, left - length);
            (length, false)
        }
        Mood::Refuse => (0, true),
        _ => (length, false),
    };
    if direction == Direction::Up {
        state.up += pass
    } else {
        state.down += pass;
        state.arrivals.push(Instant::now());
    }
    (pass, cut)
}
