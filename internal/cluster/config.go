package cluster

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Config is what operators set about data-plane clusters. Validate reads the
// token; LoadFile and OpenFile read the list of clusters.
type Config struct {
	ScalingType    string
	File           string
	ReconcileReady bool

	PublicURL       string // where agents reach this service
	StrimziAddon    string
	FleetshardAddon string
	PollInterval    string // handed to agents as it is
	ResyncInterval  string // handed to agents as it is

	Observability Observability
}

// Observability is what the observability stack of data planes is told.
type Observability struct {
	Repository, Channel, Tag string

	secretEnabled bool
	secretFile    string
	Token         log.Secret // opens the repository; empty: it needs none
}

// Flags declares the flags.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.ScalingType, "dataplane-cluster-scaling-type", "manual", "who decides which clusters there are: manual (the file of dataplane-cluster-config-file)")
	fs.StringVar(&c.File, "dataplane-cluster-config-file", DefaultFile, "YAML list of data-plane clusters, reloaded when it changes")
	fs.BoolVar(&c.ReconcileReady, "enable-ready-dataplane-clusters-reconcile", true, "keep add-ons of clusters in use as configured")
	fs.StringVar(&c.PublicURL, "public-host-url", "http://localhost", "base URL by which agents reach this service")
	fs.StringVar(&c.StrimziAddon, "strimzi-operator-addon-id", "managed-kafka", "id of the add-on with the Strimzi operator")
	fs.StringVar(&c.FleetshardAddon, "kas-fleetshard-addon-id", "kas-fleetshard-operator", "id of the add-on with the agent")
	fs.StringVar(&c.PollInterval, "kas-fleetshard-poll-interval", "15s", "how often agents ask for their work")
	fs.StringVar(&c.ResyncInterval, "kas-fleetshard-resync-interval", "60s", "how often agents report everything")
	o := &c.Observability
	fs.StringVar(&o.Repository, "observability-config-repo", "quay.io/rhoas/observability-resources-mk", "repository of the observability resources of data planes")
	fs.StringVar(&o.Channel, "observability-config-channel", "resources", "channel in that repository")
	fs.StringVar(&o.Tag, "observability-config-tag", "latest", "tag in that repository")
	fs.BoolVar(&o.secretEnabled, "dataplane-observability-config-enable", false, "read dataplane-observability-config-file-path")
	fs.StringVar(&o.secretFile, "dataplane-observability-config-file-path", "secrets/dataplane-observability-config.yaml", "YAML file with the token for that repository")
}

// Validate reads the token and tells every problem.
func (c *Config) Validate() error {
	var problems []error
	switch c.ScalingType {
	case "manual":
	case "auto", "none":
		problems = append(problems, fmt.Errorf("dataplane-cluster-scaling-type: %s is not available yet, use manual", c.ScalingType))
	default:
		problems = append(problems, fmt.Errorf("dataplane-cluster-scaling-type: %q is not known, use manual", c.ScalingType))
	}
	if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		problems = append(problems, fmt.Errorf("public-host-url: %q is not an http or https URL", c.PublicURL))
	}
	for _, required := range []struct{ flag, value string }{
		{"dataplane-cluster-config-file", configfile.Path(c.File)},
		{"strimzi-operator-addon-id", c.StrimziAddon},
		{"kas-fleetshard-addon-id", c.FleetshardAddon},
		{"kas-fleetshard-poll-interval", c.PollInterval},
		{"kas-fleetshard-resync-interval", c.ResyncInterval},
	} {
		if required.value == "" {
			problems = append(problems, fmt.Errorf("%s: must not be empty", required.flag))
		}
	}
	if c.StrimziAddon != "" && c.StrimziAddon == c.FleetshardAddon {
		problems = append(problems, errors.New("kas-fleetshard-addon-id: must differ from strimzi-operator-addon-id"))
	}
	return errors.Join(append(problems, c.Observability.read())...)
}

// observabilityFile is the file of secrets. Where data planes write their metrics
// is in it too, for the part of this service that sets them up.
type observabilityFile struct {
	RemoteWrite map[string]any `yaml:"remote_write_configuration"`
	Token       string         `yaml:"github_resources_auth_token"`
}

func (o *Observability) read() error {
	if !o.secretEnabled {
		return nil
	}
	var file observabilityFile
	if err := configfile.ReadYAML(o.secretFile, configfile.Fallback{}, &file); err != nil {
		return fmt.Errorf("dataplane-observability-config-file-path: %w", err)
	}
	o.Token = log.Secret(file.Token)
	return nil
}
