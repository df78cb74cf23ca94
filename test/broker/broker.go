// Package broker runs the Kafka instances of the sandbox data plane: brokers that speak the
// real Kafka protocol, a TLS router that finds them by SNI, and a dialler that reaches them
// the way a customer does.
//
// It is for producing and consuming through everything the fleet manager prepared (DNS
// records, service accounts, claim checks). It is not a store: messages live in memory and
// end with the instance. Invariant: no client gets past SASL without a token that the
// instance's own identity provider signed and its claim check accepts, or the canary's secret.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Port is the port that every bootstrap and broker host is advertised with.
const Port = 443

// Spec is what an instance is made from.
type Spec struct {
	ID            string
	BootstrapHost string // without a port
	Brokers       int    // 0: one
	Name          string // of the instance, as its figures have it
	Namespace     string // it is in, likewise; "": it has no figures
	Limits        Limits
	OAuth         *OAuth // nil: clients need no credentials
	Canaries      []Credential
	Logger        *slog.Logger // nil: silent
}

// OAuth says which tokens open the instance.
type OAuth struct {
	TokenURL              string
	JWKSURL               string
	Issuer                string // "": any
	UserNameClaim         string
	FallbackUserNameClaim string
	ClaimCheck            string        // as in spec.oauth.customClaimCheck; "": every valid token
	MaxSession            time.Duration // 0: clients need not authenticate again
}

// Credential is a user whose secret the instance itself knows.
type Credential struct {
	ClientID string
	Secret   log.Secret
}

// Broker is one running Kafka instance.
type Broker struct {
	spec    Spec
	cluster *kfake.Cluster
	nodes   []*listener
	cancel  context.CancelFunc
	closing sync.Once

	closed sync.RWMutex // held while the cluster is asked for figures
	gone   bool

	knownLock sync.Mutex
	known     known
}

// Start runs an instance. It opens no port: a Router brings it its connections.
func Start(spec Spec) (*Broker, error) {
	if spec.ID == "" || spec.BootstrapHost == "" {
		return nil, errors.New("starting broker: id and bootstrap host are needed")
	}
	spec.BootstrapHost = strings.ToLower(spec.BootstrapHost)
	spec.Brokers = max(spec.Brokers, 1)
	if spec.Logger == nil {
		spec.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{spec: spec, cancel: cancel, known: known{topics: map[string]bool{}, groups: map[string]bool{}}}
	opts := []kfake.Opt{
		kfake.ClusterID(spec.ID),
		kfake.NumBrokers(spec.Brokers),
		kfake.DefaultNumPartitions(3),
		kfake.AllowAutoTopicCreation(),
		kfake.ListenFn(b.listen),
	}
	gate, err := newGate(spec)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting broker: %w", err)
	}
	if gate != nil {
		opts = append(opts, gate.options()...)
	}
	if b.cluster, err = kfake.NewCluster(opts...); err != nil {
		cancel()
		return nil, fmt.Errorf("starting broker: %w", err)
	}
	if gate != nil {
		gate.guard(ctx, b.cluster)
	}
	b.observe()
	return b, nil
}

// ID gives the id of the instance.
func (b *Broker) ID() string { return b.spec.ID }

// Close ends the instance and every connection to it.
func (b *Broker) Close() {
	b.closing.Do(func() {
		b.cancel()
		b.closed.Lock()
		defer b.closed.Unlock()
		b.gone = true
		b.cluster.Close()
	})
}

// hosts maps each host name of the instance to the node that answers it.
func (b *Broker) hosts() map[string]*listener {
	hosts := map[string]*listener{b.spec.BootstrapHost: b.nodes[0]}
	for n, l := range b.nodes {
		hosts[nodeHost(n, b.spec.BootstrapHost)] = l
	}
	return hosts
}

// listen is called by the cluster once per node, in the order of the node ids.
func (b *Broker) listen(string, string) (net.Listener, error) {
	host := nodeHost(len(b.nodes), b.spec.BootstrapHost)
	l := newListener(net.JoinHostPort(host, strconv.Itoa(Port)))
	b.nodes = append(b.nodes, l)
	return l, nil
}

func nodeHost(n int, bootstrapHost string) string {
	return fmt.Sprintf("broker-%d-%s", n, bootstrapHost)
}
