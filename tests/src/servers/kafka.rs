//! Apache Kafka: one node that is broker and controller (KRaft), from the jars that `make setup` fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};

use super::process::{PORT_ATTEMPTS, Process, Start, tied};
use super::{free_ports, installed};

const START_TIMEOUT: Duration = Duration::from_secs(90);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The cluster's id, a UUID in base64: it says `pixtoll-test-log`.
const CLUSTER_ID: &str = "cGl4dG9sbC10ZXN0LWxvZw";

/// A broker; its process is killed when dropped, its data stays for whoever owns the folder.
#[derive(Debug)]
pub struct Kafka {
    libs: PathBuf,
    dir: PathBuf,
    brokers: String,
    process: Option<Process>,
}

impl Kafka {
    /// Starts a broker with its data in `dir`, an empty folder, and returns when a client gets an answer (about 5 s).
    pub fn start(dir: &Path) -> Result<Self> {
        let libs = installed("kafka-4.3.1")?.join("libs");
        for _ in 0..PORT_ATTEMPTS {
            let [port, controller_port] = free_ports()?;
            let brokers = format!("127.0.0.1:{port}");
            let mut kafka = Self { libs: libs.clone(), dir: dir.to_owned(), brokers, process: None };
            kafka.format(port, controller_port)?;
            if kafka.launch()? == Start::Answers {
                return Ok(kafka);
            }
        }
        bail!("Apache Kafka found its port taken {PORT_ATTEMPTS} times running");
    }

    /// What clients take as `bootstrap.servers`; stays the same over a restart.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Stops the broker as an operator would (SIGTERM); what it stored stays.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.stop(STOP_TIMEOUT)?;
        }
        Ok(())
    }

    /// Kills the broker (SIGKILL); what it stored stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the stopped or killed broker again, same data, same port. After a kill it takes 12 s: the controller
    /// holds on to the dead broker's registration for 9.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        match self.launch()? {
            Start::Answers => Ok(()),
            Start::PortTaken => bail!("{} was taken by another process while Kafka was down", self.brokers),
        }
    }

    /// Writes the settings and an empty log that knows its one voter's address: new ports need a new log.
    fn format(&self, port: u16, controller_port: u16) -> Result<()> {
        let data = self.dir.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(self.dir.join("tmp"))?;
        fs::write(self.properties_file(), properties(port, controller_port, &data))
            .with_context(|| format!("cannot write to {}", self.dir.display()))?;
        let mut format = self.java("kafka.tools.StorageTool");
        format.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]).arg(self.properties_file());
        Process::spawn("formatting Kafka's log", format, &self.dir.join("format.log"))?.finish(START_TIMEOUT)
    }

    fn launch(&mut self) -> Result<Start> {
        let mut server = self.java("kafka.Kafka");
        server.arg(self.properties_file());
        let mut process = Process::spawn("Apache Kafka", server, &self.dir.join("server.log"))?;
        // Its own log first: on a port that somebody else took it is somebody else who answers.
        let start = process.wait_until(START_TIMEOUT, |log| log.contains("Kafka Server started") && self.answers())?;
        self.process = Some(process);
        Ok(start)
    }

    fn answers(&self) -> bool {
        let client: Result<BaseProducer, _> = ClientConfig::new().set("bootstrap.servers", &self.brokers).create();
        client
            .and_then(|client| client.client().fetch_metadata(None, Duration::from_secs(2)))
            .is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    fn java(&self, class: &str) -> Command {
        let mut java = tied("KILL", "java");
        java.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"])
            // Nothing outside the run's folder: no statistics file in /tmp, no unpacked native libraries there.
            .arg("-XX:-UsePerfData")
            .arg(format!("-Djava.io.tmpdir={}", self.dir.join("tmp").display()))
            .arg("-Dorg.slf4j.simpleLogger.showDateTime=true")
            .arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")
            .arg("-cp")
            .arg(self.libs.join("*"))
            .arg(class);
        java
    }

    fn properties_file(&self) -> PathBuf {
        self.dir.join("server.properties")
    }
}

fn properties(port: u16, controller_port: u16, data: &Path) -> String {
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
log.dirs={data}

# Topics are made by `ingest topics create` only.
auto.create.topics.enable=false

# One node can hold one replica; few partitions, so that the first group needn't wait for fifty.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# A killed consumer's partitions move within a test's patience.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# Room for the largest records: dead letters carry an undecodable record whole.
message.max.bytes=33554432
replica.fetch.max.bytes=33554432
",
        data = data.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::run_folder::RunFolder;
    use crate::servers::servers_folder;
    use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
    use rdkafka::client::DefaultClientContext;
    use rdkafka::producer::BaseRecord;

    /// The number of records in partition 0 of `topic`.
    fn end_offset(kafka: &Kafka, topic: &str) -> i64 {
        let client: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create().unwrap();
        client.client().fetch_watermarks(topic, 0, Duration::from_secs(10)).unwrap().1
    }

    fn produce(kafka: &Kafka, topic: &str) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", kafka.brokers()).set("acks", "all").create().unwrap();
        producer.send(BaseRecord::<str, str>::to(topic).key("key").payload("record")).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
    }

    #[tokio::test]
    async fn a_broker_keeps_its_records_and_its_port_over_stops_and_kills() {
        let run = RunFolder::create(&servers_folder().join("run")).unwrap();
        let mut kafka = Kafka::start(&run.subfolder("kafka").unwrap()).unwrap();
        let brokers = kafka.brokers().to_owned();
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        let topic = NewTopic::new("kept", 1, TopicReplication::Fixed(1));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
        assert_eq!(made, [Ok("kept".to_owned())]);

        produce(&kafka, "kept");
        kafka.stop().unwrap();
        assert!(!kafka.answers());
        kafka.restart().unwrap();
        produce(&kafka, "kept");
        assert_eq!(end_offset(&kafka, "kept"), 2);

        kafka.kill();
        assert!(!kafka.answers());
        kafka.restart().unwrap();
        assert_eq!(end_offset(&kafka, "kept"), 2);
        assert_eq!(kafka.brokers(), brokers);
    }
}
