//! Init's side of the control socket.

use std::io;
use std::sync::Arc;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};

use super::init::World;
use super::protocol::{Reply, Request, short_path};
use super::set::{Set, Sets};

/// Listens; only the owner of the folder gets in.
pub fn listen(world: &World) -> io::Result<UnixListener> {
    let socket = world.dir.socket();
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let (_folder, short) = short_path(&socket)?;
    UnixListener::bind(short)
}

/// Answers every connection, for ever.
pub async fn serve(listener: UnixListener, world: Arc<World>, sets: Sets) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (world, sets) = (Arc::clone(&world), sets.clone());
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &world, &sets).await
                        && error.kind() != io::ErrorKind::BrokenPipe
                    {
                        tracing::warn!(%error, "a control connection broke");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, world: &World, sets: &Sets) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    if read.read_line(&mut line).await? == 0 {
        return Ok(());
    }
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => return send(&mut write, &Reply::Refused(format!("not a request: {error}"))).await,
    };
    let reply = match request {
        Request::WatchSnapshots { set } => match sets.named(&set) {
            // Whoever watches never writes: a readable socket is a closed one.
            Some(set) => {
                return tokio::select! {
                    result = send_snapshots(&mut write, set) => result,
                    _ = read.read_line(&mut line) => Ok(()),
                };
            }
            None => Reply::Refused(absent(&set)),
        },
        Request::WatchInjections {} => {
            return tokio::select! {
                result = send_injections(&mut write, world) => result,
                _ = read.read_line(&mut line) => Ok(()),
            };
        }
        Request::ListInjections {} => Reply::Injections(world.injections.list()),
        Request::DeletePod { set, ordinal, grace } => match sets.named(&set) {
            Some(set) => match set.delete(ordinal, grace).await.await {
                Ok(true) => Reply::Ok {},
                Ok(false) | Err(_) => Reply::Refused(format!("there is no pod with ordinal {ordinal}")),
            },
            None => Reply::Refused(absent(&set)),
        },
        Request::PutInjection(spec) => {
            world.injections.put(*spec);
            Reply::Ok {}
        }
        Request::ForgetInjection(name) => {
            world.injections.forget(&name);
            Reply::Ok {}
        }
        Request::Report { name, status } => {
            if world.injections.report(&name, *status) {
                Reply::Ok {}
            } else {
                Reply::Refused(format!("there is no Injection named {name}"))
            }
        }
        Request::Locate(pod) => {
            Reply::Located(sets.of_pod(&pod).and_then(|(set, ordinal)| set.board.located(ordinal)))
        }
    };
    send(&mut write, &reply).await
}

fn absent(set: &str) -> String {
    format!("there is no StatefulSet {set} in this sandbox")
}

async fn send_snapshots(write: &mut OwnedWriteHalf, set: &Set) -> io::Result<()> {
    let mut snapshots = set.board.snapshots();
    send(write, &Reply::Ok {}).await?;
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        send(write, &snapshot).await?;
        if snapshots.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn send_injections(write: &mut OwnedWriteHalf, world: &World) -> io::Result<()> {
    let mut watch = world.injections.watch();
    send(write, &Reply::Ok {}).await?;
    while let Some(events) = watch.next().await {
        for event in events {
            send(write, &event).await?;
        }
    }
    Ok(())
}

async fn send(write: &mut OwnedWriteHalf, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    write.write_all(&line).await
}
