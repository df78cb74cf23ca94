package kafka

import (
	"testing"

	"github.com/rs/xid"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

func TestBootstrapHost(t *testing.T) {
	t.Parallel()
	k := Kafka{ID: "cb0b8ss5m2vs73f1jk2g", Name: "my-long-kafka-name"}
	require.Equal(t, "my-long-ka-cb0b8ss5m2vs73f1jk2g.kafka.bf2.dev", bootstrapHost(k, "kafka.bf2.dev", "apps.mk.x.org", true))
	require.Equal(t, "my-long-ka-cb0b8ss5m2vs73f1jk2g.kas.mk.x.org", bootstrapHost(k, "kafka.bf2.dev", "apps.mk.x.org", false))
	require.Equal(t, "kafka-cb0b8ss5m2vs73f1jk2g", namespaceOf(k.ID))
}

// Window 22: two ids that differ only in digits once gave the same host.
func TestWindow22HostsDifferWhenIDsDo(t *testing.T) {
	t.Parallel()
	require.NotEqual(t, hostLabel("same", "c9jk1d20000000000000"), hostLabel("same", "c8jk7d30000000000000"))
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z]([-a-z0-9]{0,30}[a-z0-9])?`).Draw(t, "name")
		id := ID(xid.New().String())
		label := hostLabel(name, id)
		require.Empty(t, validation.IsDNS1035Label(label))
		require.LessOrEqual(t, len(label), 31)
		require.NotEqual(t, label, hostLabel(name, ID(xid.New().String())))
	})
}
