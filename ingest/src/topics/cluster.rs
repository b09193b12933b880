//! The broker's side of topics.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{anyhow, bail};
use log::Settings;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;

use super::spec::{Found, Wanted};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Cluster {
    admin: AdminClient<DefaultClientContext>,
    brokers: String,
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT))
}

impl Cluster {
    pub(crate) fn connect(kafka: &Settings) -> anyhow::Result<Self> {
        let config = kafka.client(&[]);
        let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        Ok(Self { admin: config.create()?, brokers })
    }

    /// Those of `wanted` that are there. Asks for all topics, since asking for one by name can create it.
    pub(crate) async fn find(&self, wanted: &[Wanted]) -> anyhow::Result<BTreeMap<String, Found>> {
        let metadata = self.admin.inner().fetch_metadata(None, METADATA_TIMEOUT);
        let metadata = metadata.map_err(|why| anyhow!("no answer from Kafka at {}: {why}", self.brokers))?;
        let mut found = BTreeMap::new();
        for topic in metadata.topics().iter().filter(|topic| wanted.iter().any(|w| w.name == topic.name())) {
            let copies = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
            let partitions = i32::try_from(topic.partitions().len())?;
            let replication = i32::try_from(copies.unwrap_or(0))?;
            found.insert(topic.name().to_owned(), Found { partitions, replication, settings: BTreeMap::new() });
        }
        self.add_settings(&mut found).await?;
        Ok(found)
    }

    async fn add_settings(&self, found: &mut BTreeMap<String, Found>) -> anyhow::Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        let topics: Vec<_> = found.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        let failed = |why: &dyn std::fmt::Display| anyhow!("cannot read the topics' settings: {why}");
        for answer in self.admin.describe_configs(&topics, &options()).await.map_err(|why| failed(&why))? {
            let resource = answer.map_err(|why| failed(&why))?;
            let OwnedResourceSpecifier::Topic(name) = resource.specifier else { continue };
            let Some(found) = found.get_mut(&name) else { continue };
            found.settings.extend(resource.entries.into_iter().filter_map(|e| Some((e.name, e.value?))));
        }
        Ok(())
    }

    /// Creates topics; answers those that were created. One that another made meanwhile is no error.
    pub(crate) async fn create(&self, topics: &[&Wanted]) -> anyhow::Result<Vec<String>> {
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|wanted| NewTopic {
                name: &wanted.name,
                num_partitions: wanted.partitions,
                replication: TopicReplication::Fixed(wanted.replication),
                config: wanted.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            })
            .collect();
        let mut created = Vec::new();
        let answers = self.admin.create_topics(&new, &options()).await;
        for answer in answers.map_err(|why| anyhow!("cannot create the topics: {why}"))? {
            match answer {
                Ok(name) => created.push(name),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, error @ RDKafkaErrorCode::InvalidReplicationFactor)) => bail!(
                    "cannot create {name}: {error}; there are fewer brokers than copies: on a single one pass \
                     --replication 1 --min-isr 1"
                ),
                Err((name, error)) => bail!("cannot create {name}: {error}"),
            }
        }
        Ok(created)
    }
}
