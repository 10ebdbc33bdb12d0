//! A DNS resolver on loopback that knows mail exchangers and nothing else (RFC 1035 §4).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// The type MX (RFC 1035 §3.2.2).
const MX: [u8; 2] = [0, 15];

/// The resolver; its thread ends with the test program.
pub struct Resolver {
    address: SocketAddr,
}

impl Resolver {
    /// Answers with these exchangers, by domain, in order of preference; every other name does not exist.
    pub fn start(domains: &[(&str, &[&str])]) -> Resolver {
        let known: HashMap<Vec<u8>, Vec<Vec<u8>>> = domains
            .iter()
            .map(|(domain, exchangers)| {
                (encoded(domain), exchangers.iter().map(|name| encoded(name)).collect())
            })
            .collect();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&answer(&buffer[..length], &known), peer);
            }
        });
        Resolver { address }
    }

    /// For `--dns`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

/// Labels with their lengths.
fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| {
        std::iter::once(u8::try_from(label.len()).unwrap()).chain(label.bytes()).collect::<Vec<_>>()
    });
    labels.chain([0]).collect()
}

fn answer(query: &[u8], known: &HashMap<Vec<u8>, Vec<Vec<u8>>>) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 1;
    let name = query[12..end].to_ascii_lowercase();
    let exchangers = known.get(&name).filter(|_| query[end..end + 2] == MX);
    let count = u8::try_from(exchangers.map_or(0, Vec::len)).unwrap();
    let code = if exchangers.is_some() { 0 } else { 3 };
    let mut reply = query[..2].to_vec();
    // A response, recursion desired and available; one question, the answers.
    reply.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    reply.extend(&query[12..end + 4]);
    for (preference, exchanger) in (0_u8..).zip(exchangers.into_iter().flatten()) {
        let length = u8::try_from(exchanger.len() + 2).unwrap();
        // The name of the question, MX, IN, a minute.
        reply.extend([0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, length, 0, preference]);
        reply.extend(exchanger);
    }
    reply
}
