package broker

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// messageLimit is what the cluster takes without being told otherwise.
const messageLimit = 1048588

// Limits are what an instance's owner was promised. 0: nothing is said of it.
type Limits struct {
	Partitions, Connections, ConnectionsPerSecond int
	IngressPerSecond, EgressPerSecond, Storage    int64 // bytes
}

// known are names that clients used. The cluster lists neither topics nor groups,
// but tells about one whose name is known.
type known struct{ topics, groups map[string]bool }

// observe keeps an eye on the requests that say what there is.
func (b *Broker) observe() {
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.CreateTopics, kmsg.Produce, kmsg.JoinGroup, kmsg.ConsumerGroupHeartbeat} {
		b.cluster.ControlKey(key.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.KeepControl()
			b.note(r, b.cluster.CurrentNode())
			return nil, nil, false
		})
	}
}

func (b *Broker) note(request kmsg.Request, node int32) {
	b.knownLock.Lock()
	defer b.knownLock.Unlock()
	switch r := request.(type) {
	case *kmsg.MetadataRequest:
		for _, topic := range r.Topics {
			if topic.Topic != nil {
				b.known.topics[*topic.Topic] = true
			}
		}
	case *kmsg.CreateTopicsRequest:
		for _, topic := range r.Topics {
			b.known.topics[topic.Topic] = true
		}
	case *kmsg.ProduceRequest:
		if int(node) >= 0 && int(node) < len(b.nodes) {
			b.nodes[node].traffic.noteProduce(r)
		}
	case *kmsg.JoinGroupRequest:
		b.known.groups[r.Group] = true
	case *kmsg.ConsumerGroupHeartbeatRequest:
		b.known.groups[r.Group] = true
	}
}

// topics gives what is known of the topics that exist, and of the groups' members.
func (b *Broker) look() (topics []*kfake.TopicInfo, members map[string]int) {
	b.knownLock.Lock()
	names, groups := keys(b.known.topics), keys(b.known.groups)
	b.knownLock.Unlock()
	for _, name := range names {
		if info := b.cluster.TopicInfo(name); info != nil {
			topics = append(topics, info)
		}
	}
	members = map[string]int{}
	for _, name := range groups {
		if info := b.cluster.GroupInfo(name); info != nil {
			members[name] = len(info.Members)
		}
	}
	return topics, members
}

func keys(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Figures serves what the exporters of a data plane do: the figures of all
// instances behind the router, in the text format of Prometheus. Each is true; of
// what the brokers do not have, such as replicas of partitions, nothing is said.
func (r *Router) Figures() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(exporter{r})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// exporter reads the figures when it is scraped.
type exporter struct{ router *Router }

// Describe says nothing: which series there are depends on the instances.
func (exporter) Describe(chan<- *prometheus.Desc) {}

// Collect gives the figures of every instance.
func (e exporter) Collect(out chan<- prometheus.Metric) {
	e.router.mu.RLock()
	all := make([]*Broker, 0, len(e.router.brokers))
	for _, b := range e.router.brokers {
		all = append(all, b)
	}
	e.router.mu.RUnlock()
	for _, b := range all {
		b.closed.RLock() // the cluster hangs when it is asked after its end
		if !b.gone && b.spec.Namespace != "" {
			(&sheet{broker: b, out: out}).fill()
		}
		b.closed.RUnlock()
	}
}

// sheet is one scrape of one instance.
type sheet struct {
	broker *Broker
	out    chan<- prometheus.Metric
}

// put writes one figure; pairs are names and values of labels.
func (s *sheet) put(name string, kind prometheus.ValueType, value float64, pairs ...string) {
	var labels, values []string
	for i := 0; i+1 < len(pairs); i += 2 {
		labels, values = append(labels, pairs[i]), append(values, pairs[i+1])
	}
	s.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, name+" of the instance.", labels, nil), kind, value, values...)
}

// ofPod are the labels that Strimzi puts on a broker's figures.
func (s *sheet) ofPod(node int, more ...string) []string {
	name := s.broker.spec.Name
	return append([]string{
		"namespace", s.broker.spec.Namespace, "strimzi_io_kind", "Kafka", "strimzi_io_cluster", name,
		"statefulset_kubernetes_io_pod_name", name + "-kafka-" + strconv.Itoa(node),
	}, more...)
}

func (s *sheet) fill() {
	topics, members := s.broker.look()
	names := map[[16]byte]string{}
	stored := make([]int64, len(s.broker.nodes))
	partitions := 0
	for _, topic := range topics {
		names[topic.TopicID] = topic.Topic
		partitions += s.topic(topic.Topic, stored)
	}
	for node, l := range s.broker.nodes {
		s.node(node, l.traffic, names)
		s.storage(node, stored[node])
	}
	s.put("kafka_controller_kafkacontroller_global_partition_count", prometheus.GaugeValue, float64(partitions), s.ofPod(0)...)
	s.put("kafka_controller_kafkacontroller_offline_partitions_count", prometheus.GaugeValue, 0, s.ofPod(0)...)
	for group, count := range members {
		s.put("kafka_consumergroup_members", prometheus.GaugeValue, float64(count), "namespace", s.broker.spec.Namespace, "consumergroup", group)
	}
	s.promises()
}

// topic writes the figures of one topic, and adds what it takes to the nodes that hold it.
func (s *sheet) topic(name string, stored []int64) (partitions int) {
	messages := make([]int64, len(stored))
	all := s.broker.cluster.PartitionInfos(name)
	for _, p := range all {
		node := int(p.Leader)
		if node < 0 || node >= len(stored) {
			continue
		}
		stored[node] += p.NumBytes
		messages[node] += p.HighWatermark
		s.put("kas_topic_partition_log_size_bytes", prometheus.GaugeValue, float64(p.NumBytes), s.ofPod(node,
			"topic_name", name, "broker_id", strconv.Itoa(node), "partition_id", strconv.Itoa(int(p.Partition)))...)
		s.put("kafka_log_log_size", prometheus.GaugeValue, float64(p.NumBytes), s.ofPod(node, "topic", name, "partition", strconv.Itoa(int(p.Partition)))...)
	}
	for node, count := range messages {
		s.put("kafka_server_brokertopicmetrics_messages_in_total", prometheus.CounterValue, float64(count), s.ofPod(node, "topic", name)...)
	}
	s.put("kafka_topic_partitions", prometheus.GaugeValue, float64(len(all)), "namespace", s.broker.spec.Namespace, "topic", name)
	return len(all)
}

// node writes what one broker saw of its clients.
func (s *sheet) node(node int, t *traffic, names map[[16]byte]string) {
	t.mu.Lock()
	produced, fetched := byName(t.produced, names), byName(t.fetched, names)
	t.mu.Unlock()
	for topic, bytes := range produced {
		s.put("kafka_server_brokertopicmetrics_bytes_in_total", prometheus.CounterValue, float64(bytes), s.ofPod(node, "topic", topic)...)
	}
	for topic, bytes := range fetched {
		s.put("kafka_server_brokertopicmetrics_bytes_out_total", prometheus.CounterValue, float64(bytes), s.ofPod(node, "topic", topic)...)
	}
	s.put("kafka_server_socket_server_metrics_connection_count", prometheus.GaugeValue, float64(t.open.Load()), s.ofPod(node)...)
	s.put("kafka_server_socket_server_metrics_connection_creation_total", prometheus.CounterValue, float64(t.opened.Load()), s.ofPod(node)...)
	// The routers stand in a namespace of their own, and say whose traffic it was.
	route := []string{"exported_namespace", s.broker.spec.Namespace, "namespace", "sandbox-ingress", "route", s.broker.spec.Name + "-kafka-" + strconv.Itoa(node)}
	s.put("haproxy_server_bytes_in_total", prometheus.CounterValue, float64(t.in.Load()), route...)
	s.put("haproxy_server_bytes_out_total", prometheus.CounterValue, float64(t.out.Load()), route...)
}

// byName begins with 0 for each topic that there is: a rate counts from the first
// sample. One that its first message makes is scraped too late for that, here as anywhere.
func byName(counts map[topicKey]int64, names map[[16]byte]string) map[string]int64 {
	out := map[string]int64{}
	for _, name := range names {
		out[name] = 0
	}
	for key, count := range counts {
		name := key.name
		if name == "" {
			name = names[key.id]
		}
		if name != "" { // else the topic is gone
			out[name] += count
		}
	}
	return out
}

// storage writes how full a broker's share of the promised room is.
func (s *sheet) storage(node int, used int64) {
	volume := []string{"namespace", s.broker.spec.Namespace, "persistentvolumeclaim", "data-0-" + s.broker.spec.Name + "-kafka-" + strconv.Itoa(node)}
	s.put("kubelet_volume_stats_used_bytes", prometheus.GaugeValue, float64(used), volume...)
	s.put("kafka_broker_quota_totalstorageusedbytes", prometheus.GaugeValue, float64(used), s.ofPod(node)...)
	if room := s.broker.spec.Limits.Storage / int64(len(s.broker.nodes)); room > 0 {
		s.put("kubelet_volume_stats_available_bytes", prometheus.GaugeValue, float64(max(room-used, 0)), volume...)
		s.put("kafka_broker_quota_hardlimitbytes", prometheus.GaugeValue, float64(room), s.ofPod(node)...)
		s.put("kafka_broker_quota_softlimitbytes", prometheus.GaugeValue, float64(room*9/10), s.ofPod(node)...)
	}
}

// promises writes the limits of the instance and of each broker's share.
func (s *sheet) promises() {
	limits, nodes := s.broker.spec.Limits, len(s.broker.nodes)
	whole := []string{"namespace", s.broker.spec.Namespace, "instance_name", s.broker.spec.Name}
	s.put("kafka_instance_spec_brokers_desired_count", prometheus.GaugeValue, float64(nodes), whole...)
	s.put("kafka_instance_max_message_size_limit", prometheus.GaugeValue, messageLimit, whole...)
	if limits.Partitions > 0 {
		s.put("kafka_instance_partition_limit", prometheus.GaugeValue, float64(limits.Partitions), whole...)
	}
	for node := range nodes {
		each := append(slices.Clone(whole), "broker_id", strconv.Itoa(node))
		if limits.Connections > 0 {
			s.put("kafka_instance_connection_limit", prometheus.GaugeValue, float64(limits.Connections/nodes), each...)
		}
		if limits.ConnectionsPerSecond > 0 {
			s.put("kafka_instance_connection_creation_rate_limit", prometheus.GaugeValue, float64(limits.ConnectionsPerSecond/nodes), each...)
		}
		for kind, limit := range map[string]int64{"Produce": limits.IngressPerSecond, "Fetch": limits.EgressPerSecond} {
			if limit > 0 {
				s.put("kafka_broker_client_quota_limit", prometheus.GaugeValue, float64(limit/int64(nodes)), s.ofPod(node, "quota_type", kind)...)
			}
		}
	}
}
