package metricsapi

// Metric is one line of the catalogue. Names are part of the wire: customers'
// dashboards ask for them.
type Metric struct {
	Name   string
	Help   string
	From   Selector
	Labels []string // kept in a scrape; all others are dropped there
}

// Labels by short names.
const (
	pod         = "statefulset_kubernetes_io_pod_name"
	strimzi     = "strimzi_io_cluster"
	topic       = "topic"
	topicName   = "topic_name"
	brokerID    = "broker_id"
	partitionID = "partition_id"
	instance    = "instance_name"
	group       = "consumergroup"
	volume      = "persistentvolumeclaim"
	quotaType   = "quota_type"
)

// privateTopics are those of Kafka itself and of the service, as a regular expression.
const privateTopics = `__redhat_.*|__consumer_offsets|__transaction_state`

func labels(names ...string) []string { return names }

// Catalogue is THE list of metrics that customers get.
func Catalogue() []Metric {
	broker, ofTopic := labels(pod, strimzi), labels(topic, pod, strimzi)
	partition := labels(brokerID, partitionID, topicName, pod, strimzi)
	return []Metric{
		{"kubelet_volume_stats_available_bytes", "Bytes that are free on a broker's volume.", Volumes, labels(volume)},
		{"kubelet_volume_stats_used_bytes", "Bytes that are used on a broker's volume.", Volumes, labels(volume)},

		{"kafka_broker_quota_softlimitbytes", "Bytes of storage from which on a broker slows its producers down.", Brokers, broker},
		{"kafka_broker_quota_hardlimitbytes", "Bytes of storage from which on a broker stops its producers.", Brokers, broker},
		{"kafka_broker_quota_totalstorageusedbytes", "Bytes of storage that a broker counts against its limits.", Brokers, broker},
		{"kafka_broker_client_quota_limit", "Bytes a second that a broker allows its clients, by kind of traffic.", Brokers, labels(pod, strimzi, quotaType)},
		{"kafka_controller_kafkacontroller_offline_partitions_count", "Partitions without a leader.", Brokers, broker},
		{"kafka_controller_kafkacontroller_global_partition_count", "Partitions that the controller knows.", Brokers, broker},

		{"kafka_server_brokertopicmetrics_messages_in_total", "Messages that a broker took in, by topic.", BrokerTopics, ofTopic},
		{"kafka_server_brokertopicmetrics_bytes_in_total", "Bytes that a broker took in, by topic.", BrokerTopics, ofTopic},
		{"kafka_server_brokertopicmetrics_bytes_out_total", "Bytes that a broker gave out, by topic.", BrokerTopics, ofTopic},

		{"kafka_topic:kafka_log_log_size:sum", "Bytes that a topic takes on all brokers.", Topics, labels(topic)},
		{"kas_topic_partition_log_size_bytes", "Bytes that a partition takes on a broker.", Partitions, partition},
		{"kas_broker_partition_log_size_bytes_top50", "Bytes of the fifty largest partitions of a broker.", Whole, partition},

		{"kafka_namespace:haproxy_server_bytes_in_total:rate5m", "Bytes a second that clients sent, over five minutes.", Routers, nil},
		{"kafka_namespace:haproxy_server_bytes_out_total:rate5m", "Bytes a second that clients received, over five minutes.", Routers, nil},

		{"kafka_topic:kafka_topic_partitions:sum", "Partitions of all topics.", Whole, nil},
		{"kafka_topic:kafka_topic_partitions:count", "Topics.", Whole, nil},
		{"consumergroup:kafka_consumergroup_members:count", "Members of consumer groups.", Whole, labels(group)},
		{"kafka_namespace:kafka_server_socket_server_metrics_connection_count:sum", "Connections of clients.", Whole, nil},
		{"kafka_namespace:kafka_server_socket_server_metrics_connection_creation_rate:sum", "Connections that clients open a second.", Whole, nil},
		{"kafka_topic:kafka_server_brokertopicmetrics_messages_in_total:rate5m", "Messages a second that came in, over five minutes.", Whole, ofTopic},
		{"kafka_topic:kafka_server_brokertopicmetrics_bytes_in_total:rate5m", "Bytes a second that came in, over five minutes.", Whole, ofTopic},
		{"kafka_topic:kafka_server_brokertopicmetrics_bytes_out_total:rate5m", "Bytes a second that went out, over five minutes.", Whole, ofTopic},

		{"kafka_instance_spec_brokers_desired_count", "Brokers that the instance should have.", Whole, labels(instance)},
		{"kafka_instance_max_message_size_limit", "Bytes that a message may have.", Whole, labels(instance)},
		{"kafka_instance_partition_limit", "Partitions that the instance may have.", Whole, labels(instance)},
		{"kafka_instance_connection_limit", "Connections that a broker takes.", Whole, labels(instance, brokerID)},
		{"kafka_instance_connection_creation_rate_limit", "Connections that a broker lets clients open a second.", Whole, labels(instance, brokerID)},
	}
}

// shown are the labels of JSON replies; all others name things of ours that are
// no customer's business.
var shown = map[string]bool{
	nameLabel: true, strimzi: true, topic: true, volume: true, pod: true, "exported_service": true, "exported_pod": true, "route": true,
	brokerID: true, quotaType: true, partitionID: true, topicName: true, instance: true, group: true,
}
