//! Ordinary manifests, from their text to ready pods.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use seatrial::platform::sandbox::Sandbox;
use seatrial::platform::sandbox::client::Client;
use seatrial::platform::sandbox::manifest::{Document, on_this_machine, read};
use seatrial::platform::sandbox::pod_spec::SetSpec;
use seatrial::platform::{Cluster, Dial, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::again::{again, passed};
use crate::sandbox_fixture::Fixture;

/// What a manifest of these documents asks for.
pub fn accepted(texts: &[&str]) -> SetSpec {
    let documents: Vec<Document<'_>> =
        texts.iter().map(|&text| Document { file: "test.yaml", first_line: 1, text }).collect();
    let read = read(&documents, &on_this_machine);
    assert!(read.is_ok(), "{:#?}", read.err());
    read.expect("it was just looked at").set
}

const ETCD_SERVICE: &str = r"
apiVersion: v1
kind: Service
metadata: {name: etcd}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app: etcd}
  ports: [{name: client, port: 2379}, {name: peer, port: 2380}]
";

const ETCD: &str = r"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: etcd}
spec:
  replicas: 3
  serviceName: etcd
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: etcd}}
  template:
    metadata: {labels: {app: etcd}}
    spec:
      containers:
        - name: etcd
          image: quay.io/coreos/etcd:v3.4.23
          env:
            - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: DOMAIN, value: etcd.default.svc.cluster.local}
          command: [etcd]
          args:
            - --name=$(NAME)
            - --data-dir=/data/etcd
            - --listen-peer-urls=http://0.0.0.0:2380
            - --listen-client-urls=http://0.0.0.0:2379
            - --advertise-client-urls=http://$(NAME).$(DOMAIN):2379
            - --initial-advertise-peer-urls=http://$(NAME).$(DOMAIN):2380
            - --initial-cluster=etcd-0=http://etcd-0.$(DOMAIN):2380,etcd-1=http://etcd-1.$(DOMAIN):2380,etcd-2=http://etcd-2.$(DOMAIN):2380
          ports: [{name: client, containerPort: 2379}, {name: peer, containerPort: 2380}]
          readinessProbe: {httpGet: {path: /health, port: client}, periodSeconds: 1}
          volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 512Mi}}}
";

#[test]
fn etcd_becomes_a_cluster_and_keeps_its_data_when_a_member_is_replaced() {
    let started = Instant::now();
    let fixture = Fixture::up("etcd", accepted(&[ETCD_SERVICE, ETCD]));
    fixture.wait_ready();
    println!("three members of etcd were ready after {:?}", started.elapsed());
    let put = |key: &str| {
        let endpoint = format!("--endpoints=http://{}:2379", fixture.pod(0).ip.expect("it is ready"));
        let output = fixture.in_network(&["etcdctl", &endpoint, "put", key, "value"]);
        assert!(output.status.success(), "{output:?}");
    };
    put("before");
    let uid = fixture.pod(1).uid;
    let deleted = fixture.client.delete_pod(1, Some(Duration::ZERO));
    fixture.runtime.block_on(deleted).expect("there is such a pod");
    fixture.wait_for("the member is back", |now| now.pod(1).is_some_and(|pod| pod.uid != uid && pod.ready));
    put("after");
    let endpoint = format!("--endpoints=http://{}:2379", fixture.pod(1).ip.expect("it is ready"));
    let output =
        fixture.in_network(&["etcdctl", &endpoint, "get", "before", "--consistency=s", "--print-value-only"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "value\n", "{output:?}");
}

const SHOP_SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: trade}
spec: {clusterIP: None, selector: {app: shop}, ports: [{name: web, port: 80, targetPort: web}]}
";

const SHOP: &str = r"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: shop, namespace: trade}
spec:
  replicas: 5
  serviceName: shop
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop, tier: front}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000}
      initContainers:
        - name: prepare
          image: busybox
          command: [sh, -c, 'hostname -f > /www/index.html']
          volumeMounts: [{name: www, mountPath: /www}]
      containers:
        - name: web
          image: busybox
          command: [busybox, httpd, -f, -p, '8080', -h, /www]
          ports: [{name: web, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /index.html, port: web}, periodSeconds: 1}
          volumeMounts: [{name: www, mountPath: /www, readOnly: true}]
        - name: counter
          image: busybox
          command: [sh, -c]
          args: ['while :; do date >> /var/count/log; sleep 1; done']
          livenessProbe: {exec: {command: [test, -s, /var/count/log]}, initialDelaySeconds: 1, periodSeconds: 1}
          volumeMounts: [{name: count, mountPath: /var/count}]
  volumeClaimTemplates:
    - {metadata: {name: www}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 16Mi}}}}
    - {metadata: {name: count}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 16Mi}}}}
";

#[test]
fn five_replicas_with_two_containers_and_two_claims_run() {
    let fixture = Fixture::up("shop", accepted(&[SHOP_SERVICE, SHOP]));
    fixture.wait_ready();
    let pod = fixture.pod(4);
    assert_eq!(pod.containers.len(), 2);
    assert_eq!(fixture.locate(4).volumes.len(), 2);
    let page = fixture.in_network(&[
        "busybox",
        "wget",
        "-q",
        "-O",
        "-",
        &format!("http://{}:8080/", pod.ip.expect("ready")),
    ]);
    assert_eq!(String::from_utf8_lossy(&page.stdout), "shop-4.shop.trade.svc.cluster.local\n");
}

#[test]
fn run_reaches_members_and_the_service_after_it_entered() {
    if let Some(state) = std::env::var_os("DIAL_STATE") {
        return dial(Path::new(&state));
    }
    let fixture = Fixture::up("inside", accepted(&[SHOP_SERVICE, SHOP]));
    fixture.wait_ready();
    let output = again("sandbox_manifest::run_reaches_members_and_the_service_after_it_entered")
        .env("DIAL_STATE", fixture.state.path())
        .output()
        .expect("the test program starts");
    let text = passed(&output);
    assert!(text.contains("member: shop-3.shop.trade.svc.cluster.local"), "{text}");
    let served: BTreeSet<&str> = text.lines().filter(|line| line.starts_with("service: shop-")).collect();
    assert!(served.len() > 1, "{text}");
}

/// In a process of its own, which enters the sandbox.
fn dial(state: &Path) {
    let sandbox = Sandbox::attach(state, "inside").expect("it runs");
    sandbox.enter().expect("root may");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be made");
    runtime.block_on(async {
        let client = Client::connect(sandbox.dir()).await.expect("init answers");
        println!("member: {}", page(&client, Endpoint::Member(3)).await);
        for _ in 0..20 {
            println!("service: {}", page(&client, Endpoint::Service).await);
        }
        let absent = client.dial(Endpoint::Member(9), 8080).await.expect_err("there is no such member");
        assert!(absent.to_string().contains("ordinal 9"), "{absent}");
    });
}

async fn page(client: &Client, endpoint: Endpoint) -> String {
    let mut stream = client.dial(endpoint, 8080).await.expect("it serves");
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").await.expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer.lines().last().unwrap_or_default().to_owned()
}
