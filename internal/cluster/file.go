package cluster

import (
	_ "embed"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

// DefaultFile is the usual place of the list of clusters.
const DefaultFile = "config/dataplane-cluster-configuration.yaml"

//go:embed defaults/dataplane-cluster-configuration.yaml
var defaultFile []byte

// Kinds of providers and of clusters.
const (
	ProviderOCM        = "ocm"
	providerStandalone = "standalone"
	Managed            = "managed"
)

const defaultInstanceTypes = catalog.Standard + "," + catalog.Developer

// Entry is one cluster of the operator's list.
type Entry struct {
	Name          string `yaml:"name"`
	ClusterID     string `yaml:"cluster_id"`
	CloudProvider string `yaml:"cloud_provider"`
	Region        string `yaml:"region"`
	MultiAZ       bool   `yaml:"multi_az"`
	Schedulable   bool   `yaml:"schedulable"`
	Limit         int    `yaml:"kafka_instance_limit"` // streaming units; -1: unlimited
	Status        Status `yaml:"status"`               // with which it begins
	ProviderType  string `yaml:"provider_type"`
	ClusterDNS    string `yaml:"cluster_dns"` // empty: asked from the provider
	InstanceTypes string `yaml:"supported_instance_type"`
}

// File is the operator's list of clusters, in its order. It is not changed once read.
type File struct {
	Entries []Entry `yaml:"clusters"`
}

// ParseFile reads and checks a list and tells everything that is wrong with it.
func ParseFile(name string, raw []byte) (File, error) {
	var file File
	if err := configfile.Decode(name, raw, &file); err != nil {
		return File{}, err
	}
	var problems configfile.Problems
	seen := map[string]bool{}
	for i := range file.Entries {
		e, at := &file.Entries[i], configfile.Place{"clusters", i}
		e.complete()
		e.check(&problems, at)
		if seen[e.ClusterID] {
			problems.Addf(at.At("cluster_id"), "is there twice")
		}
		seen[e.ClusterID] = e.ClusterID != ""
	}
	return file, problems.Err(name, raw)
}

// LoadFile reads the list once.
func LoadFile(c Config) (File, error) {
	raw, name, err := configfile.Read(c.File, fallback())
	if err != nil {
		return File{}, err
	}
	return ParseFile(name, raw)
}

// OpenFile reads the list and keeps it up to date while the result runs.
func OpenFile(c Config, logger *slog.Logger) (*configfile.Live[File], error) {
	return configfile.NewLive(configfile.Source[File]{Path: c.File, Fallback: fallback(), Parse: ParseFile, Logger: logger})
}

func fallback() configfile.Fallback {
	return configfile.Fallback{Path: DefaultFile, Content: defaultFile}
}

// Capacities shows the list as the region limits are checked against it.
func (f File) Capacities() []catalog.ClusterCapacity {
	out := make([]catalog.ClusterCapacity, 0, len(f.Entries))
	for _, e := range f.Entries {
		out = append(out, catalog.ClusterCapacity{
			Provider: e.CloudProvider, Region: e.Region, Units: e.Limit, Types: splitTypes(e.InstanceTypes), Schedulable: e.Schedulable,
		})
	}
	return out
}

func splitTypes(text string) []string {
	types := strings.Split(text, ",")
	for i := range types {
		types[i] = strings.TrimSpace(types[i])
	}
	return types
}

func (e *Entry) complete() {
	if e.Status == "" {
		e.Status = Provisioning
	}
	if e.ProviderType == "" {
		e.ProviderType = ProviderOCM
	}
	if e.InstanceTypes == "" {
		e.InstanceTypes = defaultInstanceTypes
	}
}

var (
	// clusterIDText keeps ids safe as a part of URLs, SSO client ids and ledger keys.
	clusterIDText = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,62}$`)
	dnsText       = regexp.MustCompile(`^[0-9a-z]([0-9a-z-]*[0-9a-z])?(\.[0-9a-z]([0-9a-z-]*[0-9a-z])?)+$`)
)

func (e *Entry) check(problems *configfile.Problems, at configfile.Place) {
	switch {
	case e.ClusterID == "":
		problems.Addf(at.At("cluster_id"), "is required")
	case !clusterIDText.MatchString(e.ClusterID):
		problems.Addf(at.At("cluster_id"), "expected up to 63 letters, digits, dashes and underscores")
	}
	if e.CloudProvider == "" {
		problems.Addf(at.At("cloud_provider"), "is required")
	}
	if e.Region == "" {
		problems.Addf(at.At("region"), "is required")
	}
	if e.Limit < catalog.Unlimited || e.Limit > math.MaxInt32 { // which is as wide as the column
		problems.Addf(at.At("kafka_instance_limit"), "expected a number of streaming units up to %d, or -1 for no limit", math.MaxInt32)
	}
	if allowed := []Status{Provisioning, Provisioned, Ready}; !slices.Contains(allowed, e.Status) {
		problems.Addf(at.At("status"), "%q is none of %s, %s, %s", e.Status, allowed[0], allowed[1], allowed[2])
	}
	switch e.ProviderType {
	case ProviderOCM:
	case providerStandalone:
		problems.Addf(at.At("provider_type"), "%s is not available yet, use %s", providerStandalone, ProviderOCM)
	default:
		problems.Addf(at.At("provider_type"), "%q is not known, use %s", e.ProviderType, ProviderOCM)
	}
	if e.ClusterDNS != "" && !dnsText.MatchString(e.ClusterDNS) {
		problems.Addf(at.At("cluster_dns"), "expected a DNS name in lower case")
	}
	types := splitTypes(e.InstanceTypes)
	for i, t := range types {
		if t != catalog.Standard && t != catalog.Developer || slices.Contains(types[:i], t) {
			problems.Addf(at.At("supported_instance_type"), "expected %s, %s or both with a comma", catalog.Standard, catalog.Developer)
			break
		}
	}
}
