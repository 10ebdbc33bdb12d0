//! A loopback listener with one thread per connection, ended with its value.
//!
//! The scripted servers are built on it. Plain threads and blocking reads keep their code a straight story; none of
//! them serves more than a few hundred connections.

use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A listening port of 127.0.0.1.
pub struct Listening {
    port: u16,
    stop: Arc<AtomicBool>,
    open: Connections,
    thread: Option<JoinHandle<()>>,
}

/// The connections that were accepted; some may have ended by themselves.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Vec<TcpStream>>>);

impl Connections {
    /// Remembers a connection so that it can be cut.
    pub fn add(&self, stream: &TcpStream) {
        self.0.lock().unwrap().extend(stream.try_clone());
    }

    /// Cuts every connection at once.
    pub fn cut(&self) {
        self.0.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

impl Listening {
    /// Listens on a free port; each connection runs `serve` in its own thread.
    pub fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Listening {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let port = listener.local_addr().expect("local address").port();
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Connections::default());
        let (ending, accepted, serve) = (stop.clone(), open.clone(), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let _ = stream.set_nodelay(true);
                accepted.add(&stream);
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        Listening { port, stop, open, thread: Some(thread) }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection at once; new ones are accepted as before.
    pub fn cut(&self) {
        self.open.cut();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accept call; refused only where the thread has already gone.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.cut();
    }
}
