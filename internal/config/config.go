// Package config puts the configurations of all parts together: which flags the
// process has, where each value comes from, and whether the whole makes sense.
//
// It is for composition and precedence (default, then environment set, then
// environment variable, then command line). It is not for the rules of single
// values: each part has its own Config that declares its flags and validates
// itself. Invariant: after Resolve and Validate every value is usable, and all
// problems were told at once.
package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/catalog"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/docshttp"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/lease"
	"github.com/kas-fleet/kas-fleet-manager/internal/quota"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/observatorium"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/ocm"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/route53"
)

// Config is everything an operator can set.
type Config struct {
	Environment    Environment
	HTTP           httpx.Config
	DB             db.Config
	Secrets        Secrets
	Lease          lease.Config
	Reconcile      reconcile.Config
	Access         access.Config
	Docs           docshttp.Config
	SSO            SSO
	OCM            ocm.Config
	Quota          quota.Config
	Catalog        catalog.Config
	Kafka          kafka.Config
	Cluster        cluster.Config
	Route53        route53.Config
	ServiceAccount serviceaccount.Config
	Observatorium  observatorium.Config
	Log            Log
	Sentry         Sentry
}

// section is one part of the configuration and one group of flags in help and docs.
type section struct {
	group    string
	flags    func(*pflag.FlagSet)
	validate func() error
}

// databaseGroup is the group that migrate needs.
const databaseGroup = "Database"

// sections is THE list: a new part of the configuration is a field of Config and
// a line here.
func (c *Config) sections() []section {
	return []section{
		{"Servers", c.HTTP.Flags, c.validateHTTP},
		{databaseGroup, c.DB.Flags, c.DB.Validate},
		{"Secrets at rest", c.Secrets.Flags, c.Secrets.Validate},
		{"Leader election", c.Lease.Flags, c.Lease.Validate},
		{"Reconcilers", c.Reconcile.Flags, c.Reconcile.Validate},
		{"Callers", c.Access.Flags, c.Access.Validate},
		{"API documents", c.Docs.Flags, c.Docs.Validate},
		{"SSO", c.SSO.Flags, c.SSO.Validate},
		{"OCM", c.OCM.Flags, c.OCM.Validate},
		{"Quota", c.Quota.Flags, c.Quota.Validate},
		{"Catalogue", c.Catalog.Flags, c.Catalog.Validate},
		{"Kafka instances", c.Kafka.Flags, c.Kafka.Validate},
		{"Data-plane clusters", c.Cluster.Flags, c.Cluster.Validate},
		{"Service accounts", c.ServiceAccount.Flags, c.ServiceAccount.Validate},
		{"Metrics of instances", c.Observatorium.Flags, c.Observatorium.Validate},
		{"DNS", c.Route53.Flags, c.validateDNS},
		{"Logs and error reports", func(fs *pflag.FlagSet) { c.Log.Flags(fs); c.Sentry.Flags(fs) },
			func() error { return errors.Join(c.Log.Validate(), c.Sentry.Validate()) }},
	}
}

// Validate tells everything that is wrong, the content of files included.
func (c *Config) Validate() error {
	problems := make([]error, 0, len(c.sections())+1)
	for _, s := range c.sections() {
		problems = append(problems, s.validate())
	}
	return errors.Join(append(problems, c.validateFiles())...)
}

// ValidateDatabase is for commands that need nothing but the database.
func (c *Config) ValidateDatabase() error {
	return errors.Join(c.DB.Validate(), c.Log.Validate())
}

// validateHTTP also looks whether the key fits the certificate, before anything is bound.
func (c *Config) validateHTTP() error {
	h := &c.HTTP
	if err := h.Validate(); err != nil || (!h.APITLS && !h.MetricsTLS && !h.HealthTLS) {
		return err
	}
	_, err := tls.LoadX509KeyPair(h.CertFile, h.KeyFile)
	return about("https-cert-file and https-key-file", err)
}

// validateDNS reads the credentials of the DNS only where records are wanted:
// elsewhere nobody has them.
func (c *Config) validateDNS() error {
	if !c.Kafka.EnableCNAMEs {
		return nil
	}
	c.Route53.Domain = c.Kafka.DomainName
	return c.Route53.Validate()
}

// validateFiles reads the YAML files as serve will, so that a mistake in them is
// told together with all others.
func (c *Config) validateFiles() error {
	known, err := catalog.Load(c.Catalog)
	problems := []error{err}
	raw, name, err := configfile.Read(c.Quota.ListFile, configfile.Fallback{Path: quota.DefaultListFile})
	if err == nil {
		_, err = quota.Parse(name, raw)
	}
	problems = append(problems, about("quota-management-list-config-file", err))
	clusters, err := cluster.LoadFile(c.Cluster)
	problems = append(problems, about("dataplane-cluster-config-file", err))
	if known != nil && err == nil {
		problems = append(problems, about("providers-config-file", known.CheckManual(clusters.Capacities())))
	}
	return errors.Join(append(problems, c.Access.CheckFiles())...)
}

// Lines gives one line per problem of a joined error.
func Lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(err.Error()), "\n")
}

// about names the flag that a problem belongs to.
func about(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}
