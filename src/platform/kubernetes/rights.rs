//! The rights that some faults need beyond those of every runner: whoever answers for the cluster gives them to the runners
//! of a namespace, by a ClusterRole that is bound to nobody at first.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client, Error};

use crate::experiment::Work;
use crate::fault::Fault;
use crate::resource::RUNNER_ACCOUNT;

/// One of those ClusterRoles, and what tells whether somebody has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    role: &'static str,
    group: &'static str,
    resource: &'static str,
    verb: &'static str,
    /// Whether it is asked for and given in the namespace alone.
    is_local: bool,
}

const NODES: Right =
    Right { role: "seatrial-runner-nodes", group: "", resource: "nodes", verb: "patch", is_local: false };

const ADMISSION: Right = Right {
    role: "seatrial-runner-admission",
    group: "admissionregistration.k8s.io",
    resource: "validatingadmissionpolicies",
    verb: "create",
    is_local: false,
};

const CLAIMS: Right = Right {
    role: "seatrial-runner-claims",
    group: "",
    resource: "persistentvolumeclaims",
    verb: "delete",
    is_local: true,
};

/// What a step needs, if anything.
pub fn needed(work: &Work) -> Option<Right> {
    match work {
        Work::Fault(Fault::NodeDown(_) | Fault::KubeletStop(_)) => Some(NODES),
        Work::Fault(Fault::VolumeAttachBlock(_)) => Some(ADMISSION),
        Work::Fault(Fault::ClaimDelete(_)) => Some(CLAIMS),
        Work::Fault(fault) => (!fault.denies().is_empty()).then_some(ADMISSION),
        Work::Action(_) => None,
    }
}

impl Right {
    /// Whether this process has it; else what to do.
    pub async fn is_ours(self, client: &Client, namespace: &str) -> Result<Option<String>, Error> {
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(self.asked(namespace)),
            ..Default::default()
        };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
        Ok(self.lacks(namespace, answer.status.is_some_and(|status| status.allowed)))
    }

    /// Whether the runners of a namespace have it; else what to do. Takes the right to ask that.
    pub async fn is_of_runners(self, client: &Client, namespace: &str) -> Result<Option<String>, Error> {
        let groups = [
            "system:serviceaccounts",
            &format!("system:serviceaccounts:{namespace}"),
            "system:authenticated",
        ];
        let spec = SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{RUNNER_ACCOUNT}")),
            groups: Some(groups.map(str::to_owned).into()),
            resource_attributes: Some(self.asked(namespace)),
            ..Default::default()
        };
        let review = SubjectAccessReview { spec, ..Default::default() };
        let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
        Ok(self.lacks(namespace, answer.status.is_some_and(|status| status.allowed)))
    }

    fn asked(self, namespace: &str) -> ResourceAttributes {
        ResourceAttributes {
            namespace: self.is_local.then(|| namespace.to_owned()),
            group: Some(self.group.to_owned()),
            resource: Some(self.resource.to_owned()),
            verb: Some(self.verb.to_owned()),
            ..Default::default()
        }
    }

    fn lacks(self, namespace: &str, has_it: bool) -> Option<String> {
        let Self { role, resource, verb, is_local, .. } = self;
        let binding = if is_local {
            format!("rolebinding {role} --namespace={namespace}")
        } else {
            format!("clusterrolebinding {role}-{namespace}")
        };
        (!has_it).then(|| {
            format!(
                "runners of namespace {namespace} may not {verb} {resource}; whoever answers for the cluster allows it by: \
                 kubectl create {binding} --clusterrole={role} \
                 --serviceaccount={namespace}:{RUNNER_ACCOUNT}"
            )
        })
    }
}
