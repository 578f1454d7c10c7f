//! The way to an API server: from a kubeconfig, or from inside a pod.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use kube::client::ClientBuilder;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::util::MapRequestLayer;

use super::failure::words;

/// How long an API server may take to say its version.
const FIRST_ANSWER: Duration = Duration::from_secs(8);

/// What a cluster is called inside a pod, where no kubeconfig names it.
pub const IN_A_POD: &str = "this cluster";

/// A cluster that answered.
#[derive(Clone)]
pub struct Access {
    /// For requests.
    pub client: Client,
    /// The namespace that the kubeconfig names, `default` where it names none; inside a pod, the pod's.
    pub namespace: String,
    /// What the kubeconfig calls it; inside a pod, [`IN_A_POD`].
    pub context: String,
    /// Its address.
    pub server: String,
    /// Its version, for example `v1.37.0`.
    pub version: String,
    config: Config,
}

impl Access {
    /// The same cluster in the name of a service account whose token would be bound to `pod`, which takes the right to
    /// impersonate users and what else is known of them.
    pub fn impersonate(&self, namespace: &str, account: &str, pod: &str) -> Result<Client, AccessError> {
        let mut config = self.config.clone();
        let user = format!("system:serviceaccount:{namespace}:{account}");
        for (name, value) in [
            ("impersonate-user", user.as_str()),
            ("impersonate-extra-authentication.kubernetes.io%2fpod-name", pod),
        ] {
            let value =
                HeaderValue::from_str(value).map_err(|error| AccessError::Client(error.to_string()))?;
            config.headers.push((HeaderName::from_static(name), value));
        }
        client(config).map_err(|error| AccessError::Client(words(&error)))
    }
}

/// Requests that this process has sent to API servers; a watch is one, however long it lasts.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// How many requests this process has sent to API servers.
pub fn requests() -> u64 {
    REQUESTS.load(Ordering::Relaxed)
}

/// A client whose requests are counted.
fn client(config: Config) -> Result<Client, kube::Error> {
    let count = MapRequestLayer::new(|request| {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        request
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(&count).build())
}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Neither a kubeconfig nor a pod.
    #[error("there is no kubeconfig, and this is no pod of a cluster")]
    Nowhere(#[source] InClusterError),
    /// The kubeconfig does not say what is needed.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] KubeconfigError),
    /// The configuration does not make a client.
    #[error("no connection to the cluster can be made: {0}")]
    Client(String),
    /// Nobody answers.
    #[error("the API server of {context} ({server}) does not answer: {why}")]
    Unreachable {
        /// What the kubeconfig calls it.
        context: String,
        /// Its address.
        server: String,
        /// Why.
        why: String,
    },
}

/// Connects to the cluster of a context, or of the current one, and waits until it says its version.
pub async fn connect(context: Option<&str>) -> Result<Access, AccessError> {
    let (mut config, context) = configuration(context).await?;
    // A client that tries again by itself hides for long what the answer was; who asks tries again where that helps.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let namespace = config.default_namespace.clone();
    let client = client(config.clone()).map_err(|error| AccessError::Client(words(&error)))?;
    let silent = |why| AccessError::Unreachable { context: context.clone(), server: server.clone(), why };
    let version = tokio::time::timeout(FIRST_ANSWER, client.apiserver_version())
        .await
        .map_err(|_| silent(format!("nothing came within {} s", FIRST_ANSWER.as_secs())))?
        .map_err(|error| silent(words(&error)))?;
    Ok(Access { client, namespace, context, server, version: version.git_version, config })
}

async fn configuration(context: Option<&str>) -> Result<(Config, String), AccessError> {
    let kubeconfig = match Kubeconfig::read() {
        Ok(kubeconfig) => kubeconfig,
        // Inside a pod there is none, and that is no mistake.
        Err(error) if context.is_some() || std::env::var_os("KUBECONFIG").is_some() => {
            return Err(AccessError::Kubeconfig(error));
        }
        Err(_) => {
            let config = Config::incluster().map_err(AccessError::Nowhere)?;
            return Ok((config, IN_A_POD.into()));
        }
    };
    let name = context.map(str::to_owned).or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(AccessError::Kubeconfig)?;
    Ok((config, name))
}
