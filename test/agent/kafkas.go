package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kas-fleet/kas-fleet-manager/test/broker"
)

// RealKafkas is a data plane whose instances are brokers behind a router. The number of
// brokers is Config.Brokers, since that is what the agent reports routes for.
func RealKafkas(router *broker.Router, brokers int, logger *slog.Logger) DataPlane {
	brokers = cmp.Or(brokers, DefaultBrokers)
	return DataPlane{
		Create: func(_ context.Context, k ManagedKafka) error {
			b, err := broker.Start(specOf(k, brokers, logger))
			if err != nil {
				return fmt.Errorf("making instance: %w", err)
			}
			if err := router.Attach(b); err != nil {
				b.Close()
				return fmt.Errorf("making instance: %w", err)
			}
			return nil
		},
		Delete: func(_ context.Context, k ManagedKafka) error {
			router.Remove(k.ID)
			return nil
		},
	}
}

// specOf reads an instance's spec as its operator would.
func specOf(k ManagedKafka, brokers int, logger *slog.Logger) broker.Spec {
	spec := broker.Spec{
		ID: k.ID, BootstrapHost: k.Spec.Endpoint.BootstrapServerHost, Brokers: brokers, Logger: logger,
		Name: k.Metadata.Name, Namespace: k.Metadata.Namespace, Limits: limitsOf(k.Spec.Capacity),
	}
	for _, account := range k.Spec.ServiceAccounts {
		spec.Canaries = append(spec.Canaries, broker.Credential{ClientID: account.Principal, Secret: account.Password})
	}
	// A spec without a token endpoint is one of a fleet without authentication.
	if o := k.Spec.OAuth; o.TokenEndpointURI != "" {
		spec.OAuth = &broker.OAuth{
			TokenURL:              o.TokenEndpointURI,
			JWKSURL:               o.JwksEndpointURI,
			Issuer:                o.ValidIssuerEndpointURI,
			UserNameClaim:         o.UserNameClaim,
			FallbackUserNameClaim: o.FallbackUserNameClaim,
			ClaimCheck:            o.CustomClaimCheck,
			MaxSession:            time.Duration(o.MaximumSessionLifetime) * time.Millisecond,
		}
	}
	return spec
}

// limitsOf reads the size of an instance. What cannot be read limits nothing.
func limitsOf(c Capacity) broker.Limits {
	bytes := func(text string) int64 {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return 0
		}
		return quantity.Value()
	}
	return broker.Limits{
		Partitions: c.MaxPartitions, Connections: c.TotalMaxConnections, ConnectionsPerSecond: c.MaxConnectionAttemptsPerSec,
		IngressPerSecond: bytes(c.IngressPerSec), EgressPerSecond: bytes(c.EgressPerSec), Storage: bytes(c.MaxDataRetentionSize),
	}
}
