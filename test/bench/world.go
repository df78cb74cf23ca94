package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/test/agent"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

const (
	customerRealm = "redhat-external"
	accountRealm  = "rhoas"
	adminRealm    = "rhoas-kafka-sre"

	kafkaZone  = "kafka.bench.test"
	fleetAddon = "kas-fleetshard-operator"
	poll       = 20 * time.Millisecond // of an agent that answers at once
)

// world is what is around the fleet manager. Its services run in this process and
// keep no journal, so that they cost as little as they can.
type world struct {
	sso           *sso.SSO
	ssoURL        string
	ocmURL        string
	amsURL        string
	dnsURL        string
	keys          string // the fleet manager's encryption keys
	secrets       map[string]string
	organisations int
	limit         int // units of a cluster; -1: no limit, and new instances go to the first

	mu      sync.Mutex
	agents  map[string]*agent.Agent
	configs map[string]agent.Config // of the agents
	stops   []func() error
}

func openWorld(ctx context.Context, organisations, limit int) (w *world, err error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	w = &world{
		organisations: organisations, limit: limit, agents: map[string]*agent.Agent{}, configs: map[string]agent.Config{},
		keys:    "bench:" + base64.StdEncoding.EncodeToString(key) + "\n",
		secrets: map[string]string{"kas-fleet-manager": rand.Text(), "ocm-service": rand.Text()},
	}
	var users []sso.User
	for i := range organisations {
		users = append(users, sso.User{Username: userOf(i), OrgID: organisationID(i), AccountID: organisationID(i)})
	}
	w.sso, err = sso.New(sso.Options{TokenLifetime: 24 * time.Hour, Users: users, Clients: []sso.Client{
		{Realm: accountRealm, ClientID: "kas-fleet-manager", Secret: w.secrets["kas-fleet-manager"], ServiceAccount: true, Admin: true},
		{Realm: customerRealm, ClientID: "ocm-service", Secret: w.secrets["ocm-service"], ServiceAccount: true},
	}})
	if err != nil {
		return nil, fmt.Errorf("making the SSO: %w", err)
	}
	var planes []ocm.Cluster
	for i := range clusters {
		planes = append(planes, ocm.Cluster{
			ID: clusterID(i), Name: clusterName(i), State: "ready", CloudProvider: "aws", Region: "us-east-1", MultiAZ: true, DNS: clusterDNS(i),
		})
	}
	for _, service := range []struct {
		url     *string
		handler http.Handler
	}{
		{&w.ssoURL, w.sso.Handler()},
		{&w.ocmURL, ocm.New(ocm.Options{Clusters: planes, OnAddonReady: w.addonReady}).Handler()},
		{&w.amsURL, ams.New(ams.Options{}).Handler()},
		{&w.dnsURL, route53.New(route53.Options{Zones: []route53.Zone{{ID: "Z0BENCH", Name: kafkaZone}}}).Handler()},
	} {
		if *service.url, err = w.serve(ctx, service.handler); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	w.sso.SetBaseURL(w.ssoURL)
	return w, nil
}

func (w *world) serve(ctx context.Context, handler http.Handler) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	w.stops = append(w.stops, func() error {
		closing := server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return closing
	})
	return "http://" + listener.Addr().String(), nil
}

func (w *world) close() error {
	var problems []error
	for _, stop := range w.stops {
		problems = append(problems, stop())
	}
	w.stops = nil
	return errors.Join(problems...)
}

// addonReady makes the agent of a cluster with what its add-on was told.
func (w *world) addonReady(id, addonID string, parameters map[string]string) {
	if addonID != fleetAddon {
		return
	}
	config, err := agent.FromParameters(parameters)
	if err != nil {
		return // the cluster never becomes ready, which the stage reports
	}
	for i := range clusters {
		if clusterID(i) == id {
			config.ClusterDNS = clusterDNS(i)
		}
	}
	config.Conditional = true
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agents[id], w.configs[id] = agent.New(config), config
}

func (w *world) agent(id string) *agent.Agent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.agents[id]
}

// introduce lets the agents that there are say that their clusters are ready.
func (w *world) introduce(ctx context.Context) error {
	var problems []error
	for i := range clusters {
		if a := w.agent(clusterID(i)); a != nil {
			problems = append(problems, a.PushClusterStatus(ctx, true))
		}
	}
	return errors.Join(problems...)
}

// configure writes the fleet manager's files and gives its flags.
func (w *world) configure(folder string, p ports) ([]string, error) {
	issuer := w.ssoURL + "/auth/realms/" + customerRealm
	args := []string{
		"--kas-fleetshard-poll-interval=" + poll.String(), "--kas-fleetshard-resync-interval=60s", "--kas-fleetshard-addon-id=" + fleetAddon,
		"--public-host-url=http://" + p.API, "--shutdown-delay=0s", "--enable-deny-list=true", "--enable-instance-limit-control=true",
		"--kafka-domain-name=" + kafkaZone, "--enable-kafka-cname-registration=true", "--browser-url=https://console.bench.test/",
		"--jwks-allow-http=true", "--token-issuer-url=" + issuer, "--jwks-url=" + issuer + "/protocol/openid-connect/certs",
		"--mas-sso-base-url=" + w.ssoURL, "--mas-sso-realm=" + accountRealm, "--admin-api-sso-base-url=" + w.ssoURL, "--admin-api-sso-realm=" + adminRealm,
		"--ocm-base-url=" + w.ocmURL, "--ams-base-url=" + w.amsURL, "--ocm-token-url=" + issuer + "/protocol/openid-connect/token",
		"--aws-route53-endpoint-url=" + w.dnsURL,
	}
	for _, file := range []struct{ flag, content string }{
		{"quota-management-list-config-file", w.quotaList()},
		{"deny-list-config-file", "- nobody\n"},
		{"dataplane-cluster-config-file", clusterList(w.limit)},
		{"secret-encryption-key-file", w.keys},
		{"mas-sso-client-id-file", "kas-fleet-manager"},
		{"mas-sso-client-secret-file", w.secrets["kas-fleet-manager"]},
		{"ocm-client-id-file", "ocm-service"},
		{"ocm-client-secret-file", w.secrets["ocm-service"]},
		{"self-token-file", ""},
		{"aws-route53-access-key-file", "AKIABENCH"},
		{"aws-route53-secret-access-key-file", rand.Text()},
	} {
		path := filepath.Join(folder, file.flag)
		if err := os.WriteFile(path, []byte(file.content), 0o600); err != nil {
			return nil, fmt.Errorf("configuring the fleet manager: %w", err)
		}
		args = append(args, "--"+file.flag+"="+path)
	}
	return args, nil
}

// quotaList gives every organisation more than the bench can use, but not without
// a limit: then nothing would be counted.
func (w *world) quotaList() string {
	var b strings.Builder
	b.WriteString("registered_users_per_organisation:\n")
	for i := range w.organisations {
		fmt.Fprintf(&b, "- {id: %q, any_user: true, max_allowed_instances: %d}\n", organisationID(i), 2*mostInstances)
	}
	return b.String()
}

func clusterList(limit int) string {
	var b strings.Builder
	b.WriteString("clusters:\n")
	for i := range clusters {
		fmt.Fprintf(&b, "- {name: %s, cluster_id: %s, cloud_provider: aws, region: us-east-1, multi_az: true, schedulable: true, kafka_instance_limit: %d}\n",
			clusterName(i), clusterID(i), limit)
	}
	return b.String()
}

func clusterName(i int) string { return fmt.Sprintf("mk-%02d", i) }

func clusterID(i int) string { return fmt.Sprintf("1bench00000000000000000000000%03d", i) }

func clusterDNS(i int) string { return "apps." + clusterName(i) + ".example.test" }
