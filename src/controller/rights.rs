//! The rights of runners in a namespace: one service account, bound to what install has defined. The controller may bind
//! these roles and no others, so it cannot give more than it was given to give.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use super::trouble::{Answer, Doing, Trouble};
use crate::resource::RUNNER_ACCOUNT;

/// What a runner may read outside its namespace.
const CLUSTER_ROLE: &str = "seatrial-runner-cluster";

/// Makes account and bindings where they are missing.
pub async fn ensure(client: &Client, namespace: &str) -> Result<(), Trouble> {
    let labels = json!({ "app.kubernetes.io/name": "seatrial", "app.kubernetes.io/component": "runner" });
    let subjects = json!([{ "kind": "ServiceAccount", "name": RUNNER_ACCOUNT, "namespace": namespace }]);
    let role =
        |name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name });

    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account = object(json!({ "metadata": { "name": RUNNER_ACCOUNT, "labels": labels } }));
    there(accounts.create(&PostParams::default(), &account).await)
        .doing("create the runner's service account")?;

    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    let binding = object(json!({
        "metadata": { "name": RUNNER_ACCOUNT, "labels": labels },
        "subjects": subjects,
        "roleRef": role(RUNNER_ACCOUNT),
    }));
    there(bindings.create(&PostParams::default(), &binding).await).doing("bind the runner's rights")?;

    let wide: Api<ClusterRoleBinding> = Api::all(client.clone());
    let binding = object(json!({
        "metadata": { "name": format!("{RUNNER_ACCOUNT}-{namespace}"), "labels": labels },
        "subjects": subjects,
        "roleRef": role(CLUSTER_ROLE),
    }));
    there(wide.create(&PostParams::default(), &binding).await)
        .doing("bind what the runner may read in the cluster")
}

fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("written above in the shape of its kind")
}

fn there<T>(answer: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match answer {
        Err(error) if !error.is_there() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
