//! Whether objects can be listed: a watch that hears nothing looks like one of objects that do not change, for as long as
//! an API server is silent or a right is missing.

use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::ListParams;
use kube::{Api, Client, Error};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// From one question to the next, and how long an answer may take.
const PERIOD: Duration = Duration::from_secs(2);

/// Asks for the claims of a namespace and for VolumeAttachments until nobody listens.
pub fn follow(client: Client, namespace: &str) -> watch::Receiver<bool> {
    let (sender, heard) = watch::channel(true);
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
    let attachments = Api::<VolumeAttachment>::all(client);
    tokio::spawn(async move {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = sender.closed() => return,
            }
            let answer = timeout(PERIOD, ask(&claims, &attachments)).await;
            let is_heard = matches!(answer, Ok(Ok(())));
            sender.send_if_modified(|was_heard| std::mem::replace(was_heard, is_heard) != is_heard);
        }
    });
    heard
}

/// One of each is enough, and without a resource version it comes from the store, past the API server's caches.
async fn ask(claims: &Api<PersistentVolumeClaim>, attachments: &Api<VolumeAttachment>) -> Result<(), Error> {
    let one = ListParams::default().limit(1);
    claims.list_metadata(&one).await?;
    attachments.list_metadata(&one).await?;
    Ok(())
}
