package agent

import "github.com/kas-fleet/kas-fleet-manager/internal/log"

// The shapes of the agent API as an agent on a data plane knows them. They are written by
// hand on purpose: the server's generated types would hide an error that both sides share.

// Names of labels and annotations that steer the agent.
const (
	annotationPlacement = "bf2.org/placementId"
	annotationPause     = "managedkafka.bf2.org/pause-reconciliation"
	labelType           = "bf2.org/kafkaInstanceProfileType"
	labelQuota          = "bf2.org/kafkaInstanceProfileQuotaConsumed"
	labelSuspended      = "bf2.org/suspended"
	labelDeployment     = "bf2.org/deployment"
	reserved            = "reserved"
)

// Settings is the answer of GET /agent-clusters/{id}.
type Settings struct {
	Spec struct {
		Observability struct {
			AccessToken log.Secret `json:"accessToken"`
			Channel     string     `json:"channel"`
			Repository  string     `json:"repository"`
			Tag         string     `json:"tag"`
		} `json:"observability"`
		Capacity map[string]struct {
			MaxNodes int `json:"maxNodes"`
		} `json:"capacity"`
		Net struct {
			Private bool `json:"private"`
		} `json:"net"`
	} `json:"spec"`
}

type managedKafkaList struct {
	Kind  string         `json:"kind"`
	Items []ManagedKafka `json:"items"`
}

// ManagedKafka is an instance that the fleet manager wants on the cluster.
type ManagedKafka struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"`
	Metadata Metadata `json:"metadata"`
	Spec     Spec     `json:"spec"`
}

// Metadata is the Kubernetes side of a ManagedKafka.
type Metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Annotations map[string]string `json:"annotations"`
	Labels      map[string]string `json:"labels"`
}

// Spec is what the instance should be.
type Spec struct {
	Capacity        Capacity         `json:"capacity"`
	OAuth           OAuth            `json:"oauth"`
	ServiceAccounts []ServiceAccount `json:"serviceAccounts"`
	Owners          []string         `json:"owners"`
	Endpoint        Endpoint         `json:"endpoint"`
	Versions        Versions         `json:"versions"`
	Deleted         bool             `json:"deleted"`
}

// Capacity is the size of an instance, in the spec and in the status.
type Capacity struct {
	IngressPerSec               string `json:"ingressPerSec,omitempty"`
	EgressPerSec                string `json:"egressPerSec,omitempty"`
	TotalMaxConnections         int    `json:"totalMaxConnections,omitempty"`
	MaxPartitions               int    `json:"maxPartitions,omitempty"`
	MaxConnectionAttemptsPerSec int    `json:"maxConnectionAttemptsPerSec,omitempty"`
	MaxDataRetentionSize        string `json:"maxDataRetentionSize,omitempty"`
	MaxDataRetentionPeriod      string `json:"maxDataRetentionPeriod,omitempty"`
}

// OAuth says which tokens open the instance.
type OAuth struct {
	TokenEndpointURI       string `json:"tokenEndpointURI"`
	JwksEndpointURI        string `json:"jwksEndpointURI"`
	ValidIssuerEndpointURI string `json:"validIssuerEndpointURI"`
	UserNameClaim          string `json:"userNameClaim"`
	FallbackUserNameClaim  string `json:"fallbackUserNameClaim"`
	TLSTrustedCertificate  string `json:"tlsTrustedCertificate"`
	CustomClaimCheck       string `json:"customClaimCheck"`
	MaximumSessionLifetime int64  `json:"maximumSessionLifetime"` // milliseconds
}

// ServiceAccount is a client whose secret the instance knows.
type ServiceAccount struct {
	Name      string     `json:"name"`
	Principal string     `json:"principal"`
	Password  log.Secret `json:"password"`
}

// Endpoint is how customers reach the instance.
type Endpoint struct {
	BootstrapServerHost string `json:"bootstrapServerHost"`
	TLS                 *struct {
		Cert string     `json:"cert"`
		Key  log.Secret `json:"key"`
	} `json:"tls"`
}

// Versions of the parts of an instance.
type Versions struct {
	Kafka    string `json:"kafka"`
	Strimzi  string `json:"strimzi"`
	KafkaIbp string `json:"kafkaIbp"`
}

// Status is the agent's report on one instance. The zero value is the empty object that an
// agent sends for an instance that it has not looked at yet.
type Status struct {
	Conditions       []Condition `json:"conditions,omitempty"`
	Versions         *Versions   `json:"versions,omitempty"`
	Capacity         *Capacity   `json:"capacity,omitempty"`
	Routes           []Route     `json:"routes,omitzero"` // empty but present before the instance was ready once
	AdminServerURI   string      `json:"adminServerURI,omitempty"`
	UpdatedTimestamp string      `json:"updatedTimestamp,omitempty"`
}

// Condition is one Kubernetes condition.
type Condition struct {
	Type               string `json:"type"`
	Status             string `json:"status,omitempty"`
	Reason             string `json:"reason,omitempty"`
	Message            string `json:"message,omitempty"`
	LastTransitionTime string `json:"lastTransitionTime,omitempty"`
}

// Route is a host prefix of an instance and the ingress router that serves it.
type Route struct {
	Name   string `json:"name"`
	Prefix string `json:"prefix"`
	Router string `json:"router"`
}

// ClusterStatus is the body of PUT /agent-clusters/{id}/status.
type ClusterStatus struct {
	Conditions       []Condition      `json:"conditions"`
	Strimzi          []Strimzi        `json:"strimzi"`
	Capacity         map[string]Units `json:"capacity,omitempty"`
	UpdatedTimestamp string           `json:"updatedTimestamp,omitempty"`
}

// Strimzi is an operator version that runs on the cluster.
type Strimzi struct {
	Ready            bool     `json:"ready"`
	Version          string   `json:"version"`
	KafkaVersions    []string `json:"kafkaVersions"`
	KafkaIbpVersions []string `json:"kafkaIbpVersions"`
}

// Units is how much of an instance type a cluster holds and has left.
type Units struct {
	MaxUnits       int `json:"maxUnits"`
	RemainingUnits int `json:"remainingUnits"`
}

func (k ManagedKafka) placement() string { return k.Metadata.Annotations[annotationPlacement] }
func (k ManagedKafka) paused() bool      { return k.Metadata.Annotations[annotationPause] == "true" }
func (k ManagedKafka) suspended() bool   { return k.Metadata.Labels[labelSuspended] == "true" }
func (k ManagedKafka) reserved() bool    { return k.Metadata.Labels[labelDeployment] == reserved }
