package cluster

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the collectors of clusters. Series per cluster are gone when the
// cluster is, and when this process leads no more.
type Metrics struct {
	createSeconds *prometheus.HistogramVec
	success       *prometheus.CounterVec
	total         *prometheus.CounterVec
	addonFailures *prometheus.CounterVec
	statusCount   *prometheus.GaugeVec
	overdue       *prometheus.GaugeVec
	heartbeatAge  *prometheus.GaugeVec
	max           *prometheus.GaugeVec
	used          *prometheus.GaugeVec
	available     *prometheus.GaugeVec
	drift         *prometheus.GaugeVec
	since         *prometheus.GaugeVec
	instances     *prometheus.GaugeVec

	mutex sync.Mutex
	rooms map[string]prometheus.Labels // series that are shown now
	beats map[string]prometheus.Labels
}

// NewMetrics makes and registers the collectors. Every series that does not
// depend on a cluster exists from the start.
func NewMetrics(reg prometheus.Registerer, c Config) *Metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help + "; exported by the leader."}, labels)
	}
	room := []string{"region", "instance_type", "cluster_id", "cloud_provider"}
	m := &Metrics{
		createSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "worker_cluster_duration",
			Help: "Seconds from the registration of a cluster to its first ready.", Buckets: []float64{1800, 2400, 3600, 4800, 7200, 10800}}, []string{"jobType"}),
		success:       counter("cluster_operations_success_count", "Operations on clusters that succeeded.", "operation"),
		total:         counter("cluster_operations_total_count", "Operations on clusters that ended, well or not.", "operation"),
		addonFailures: counter("cluster_addon_failures_total", "How often an add-on was found in the state failed.", "addon_id"),
		statusCount:   gauge("cluster_status_count", "Live clusters by status", "status"),
		overdue:       gauge("cluster_status_overdue", "Clusters that stay in a status longer than expected, by status", "status"),
		heartbeatAge:  gauge("cluster_heartbeat_age_seconds", "Seconds since the agent of a cluster in use was heard, or since the cluster was registered", "cluster_id"),
		max:           gauge("cluster_status_capacity_max", "Streaming units that a cluster may hold", room...),
		used:          gauge("cluster_status_capacity_used", "Streaming units that a cluster holds", room...),
		available:     gauge("cluster_status_capacity_available", "Streaming units that a cluster could still take", room...),
		drift:         gauge("cluster_capacity_drift", "Streaming units counted as taken on a cluster less those that its instances take; anything but 0 wants a look", "cluster_id"),
		since:         gauge("cluster_status_since_created_in_seconds", "Age of a live cluster, with the status it is in", "id", "cluster_id", "status"),
		instances:     gauge("kafka_per_cluster_count", "Kafka instances on a cluster", "cluster_id", "external_id"),
	}
	reg.MustRegister(m.createSeconds, m.success, m.total, m.addonFailures, m.statusCount, m.overdue, m.heartbeatAge, m.max, m.used, m.available, m.drift, m.since, m.instances)
	m.createSeconds.WithLabelValues("cluster_create")
	for _, operation := range []string{"create", "delete", "hard_delete"} {
		m.total.WithLabelValues(operation)
		m.success.WithLabelValues(operation)
	}
	for _, addon := range []string{c.StrimziAddon, c.FleetshardAddon} {
		m.addonFailures.WithLabelValues(addon)
	}
	return m
}

const namespace = "kas_fleet_manager"

// Transitioned counts what a transition that was really written means: before
// is the row as it was, so that each is counted once.
func (m *Metrics) Transitioned(before Cluster, event Event, now time.Time) {
	switch event {
	case AgentReady:
		if before.wasReady() {
			return // the agent recovered; the cluster was created long ago
		}
		m.total.WithLabelValues("create").Inc() // before the success, which must never exceed it
		m.success.WithLabelValues("create").Inc()
		m.createSeconds.WithLabelValues("cluster_create").Observe(now.Sub(before.CreatedAt).Seconds())
	case InstallFailed:
		m.total.WithLabelValues("create").Inc()
	}
}

// wasReady tells whether the agent ever reported the cluster ready: only such
// reports bring versions, and they stay.
func (c Cluster) wasReady() bool { return len(c.AvailableStrimziVersions) > 0 }

// ShowUsage sets how many instances each cluster has, and how far its counted
// room is from the true one. The two were read one after the other, so a drift
// that passes means nothing.
func (m *Metrics) ShowUsage(clusters []Cluster, used []Usage) {
	m.drift.Reset()
	for clusterID, units := range Drifts(clusters, used) {
		m.drift.WithLabelValues(clusterID).Set(float64(units))
	}
	instances := map[string]int{}
	for _, u := range used {
		instances[u.ClusterID] += u.Instances
	}
	m.instances.Reset()
	for _, c := range clusters {
		m.instances.WithLabelValues(c.ProviderID(), c.ExternalID).Set(float64(instances[c.ProviderID()]))
	}
}

// AddonFailed counts an add-on that was found failed.
func (m *Metrics) AddonFailed(addonID string) { m.addonFailures.WithLabelValues(addonID).Inc() }

// ShowClusters sets the gauges of the leader that come from the clusters alone.
func (m *Metrics) ShowClusters(clusters []Cluster, now time.Time) {
	count, late := map[Status]int{}, map[Status]int{}
	beats := map[string]prometheus.Labels{}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.since.Reset()
	for _, c := range clusters {
		m.since.WithLabelValues(string(c.ID), c.ProviderID(), string(c.Status)).Set(now.Sub(c.CreatedAt).Seconds())
		count[c.Status]++
		if c.overdue(now) {
			late[c.Status]++
		}
		if !c.Status.reports() {
			continue
		}
		heard := c.CreatedAt
		if c.HeartbeatAt != nil {
			heard = *c.HeartbeatAt
		}
		labels := prometheus.Labels{"cluster_id": c.ProviderID()}
		beats[c.ProviderID()] = labels
		m.heartbeatAge.With(labels).Set(max(now.Sub(heard).Seconds(), 0))
	}
	forget(m.beats, beats, m.heartbeatAge)
	m.beats = beats
	for _, info := range statuses {
		m.statusCount.WithLabelValues(string(info.Status)).Set(float64(count[info.Status]))
		if info.Deadline > 0 {
			m.overdue.WithLabelValues(string(info.Status)).Set(float64(late[info.Status]))
		}
	}
}

// ShowRooms sets the leader's gauges of capacity.
func (m *Metrics) ShowRooms(rooms []Room) {
	shown := map[string]prometheus.Labels{}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, r := range rooms {
		labels := prometheus.Labels{
			"region": r.Region, "instance_type": r.InstanceType, "cluster_id": r.ClusterID, "cloud_provider": r.CloudProvider,
		}
		shown[r.ClusterID+"/"+r.InstanceType+"/"+r.CloudProvider+"/"+r.Region] = labels
		m.max.With(labels).Set(r.Max)
		m.used.With(labels).Set(r.Used)
		m.available.With(labels).Set(r.Available)
	}
	forget(m.rooms, shown, m.max, m.used, m.available)
	m.rooms = shown
}

// forget removes the series that were shown before and are not any more. A
// reset of all would let a scrape fall into the gap.
func forget(before, now map[string]prometheus.Labels, from ...*prometheus.GaugeVec) {
	for key, labels := range before {
		if _, still := now[key]; still {
			continue
		}
		for _, vec := range from {
			vec.Delete(labels)
		}
	}
}

// HideCounts removes the leader's gauges when it stops leading.
func (m *Metrics) HideCounts() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.rooms, m.beats = nil, nil
	for _, vec := range []*prometheus.GaugeVec{m.statusCount, m.overdue, m.heartbeatAge, m.max, m.used, m.available, m.drift, m.since, m.instances} {
		vec.Reset()
	}
}
