package harness

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/kas-fleet/kas-fleet-manager/test/broker"
	"github.com/kas-fleet/kas-fleet-manager/test/prometheus"
)

// Measured makes the instances real brokers, whose figures a real Prometheus
// scrapes. The store of metrics hands on to it what it is asked.
func Measured() Option { return func(o *options) { o.measured = true } }

// brokers is a data plane with real Kafkas.
type brokers struct {
	router    *broker.Router
	authority *broker.Authority
}

// openBrokers starts the router of the Kafkas and what measures them.
func (w *World) openBrokers() {
	w.t.Helper()
	authority, err := broker.NewAuthority()
	if err != nil {
		w.t.Fatal(err)
	}
	router, err := broker.StartRouter("127.0.0.1:0", authority, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := router.Close(); err != nil {
			w.t.Errorf("closing the router of the Kafkas: %v", err)
		}
	})
	w.brokers = &brokers{router: router, authority: authority}
	figures := httptest.NewServer(router.Figures())
	w.t.Cleanup(figures.Close)
	ctx, cancel := w.context()
	defer cancel()
	measuring, err := prometheus.Start(ctx, prometheus.Options{
		Dir: w.t.TempDir(), Address: w.freeAddress(ctx), Target: strings.TrimPrefix(figures.URL, "http://"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = measuring.Stop() })
	if err := w.Observatorium.Forward(measuring.URL()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *World) freeAddress(ctx context.Context) string {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// KafkaClient gives a customer's program that talks to an instance. Of a world that is Measured.
func (w *World) KafkaClient(k Kafka, clientID, secret string, more ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	dialer := broker.Dialer{
		Roots:   w.brokers.authority.Pool(),
		Resolve: func(context.Context, string) (string, error) { return w.brokers.router.Addr(), nil },
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(k.BootstrapServerHost), kgo.Dialer(dialer.DialContext), kgo.AllowAutoTopicCreation(),
		kgo.SASL(plain.Auth{User: clientID, Pass: secret}.AsMechanism()),
	}, more...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}
