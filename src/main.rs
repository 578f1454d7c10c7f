//! The `seatrial` binary.

use clap::Parser;

#[derive(Parser)]
enum Line {
    /// Runs one member of the built-in replicated key-value store
    Refkv(seatrial::refkv::Options),
}

#[tokio::main]
async fn main() -> Result<(), seatrial::refkv::Error> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let Line::Refkv(options) = Line::parse();
    seatrial::refkv::serve(options).await
}
