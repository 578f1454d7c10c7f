//! The runtime of commands that wait for something.

/// Runs a future on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let done = runtime.block_on(work);
    // What still waits for a peer that is gone must not keep the command from ending.
    runtime.shutdown_background();
    done
}
