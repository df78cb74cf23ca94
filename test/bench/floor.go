package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
	"github.com/kas-fleet/kas-fleet-manager/test/process"
)

// The floor runs as this program's own child, so that its CPU time can be told
// from that of the load.
const (
	floorCommand  = "floor"
	floorDatabase = "BENCH_FLOOR_DATABASE"
	kafkasPath    = "/api/kafkas_mgmt/v1/kafkas"
)

// serveFloor answers GET /kafkas/{id} with one query of a pgx pool and the reply
// that the fleet manager gives, and does nothing else: no token is read, nothing
// is logged or counted. It writes its address and serves until it is killed.
func serveFloor(ctx context.Context, database string, out io.Writer) error {
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return fmt.Errorf("reaching the database: %w", err)
	}
	defer pool.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+kafkasPath+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		k, err := floorRow(r.Context(), pool, r.PathValue("id"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(k) // the client is gone: nobody to tell
	})
	if _, err := fmt.Fprintln(out, listener.Addr()); err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}

func floorRow(ctx context.Context, pool *pgxpool.Pool, id string) (public.KafkaRequest, error) {
	var size struct {
		InstanceTypeName            string `json:"instance_type_name"`
		IngressThroughputPerSec     string `json:"ingress_throughput_per_sec"`
		EgressThroughputPerSec      string `json:"egress_throughput_per_sec"`
		TotalMaxConnections         int32  `json:"total_max_connections"`
		MaxPartitions               int32  `json:"max_partitions"`
		MaxDataRetentionPeriod      string `json:"max_data_retention_period"`
		MaxConnectionAttemptsPerSec int32  `json:"max_connection_attempts_per_sec"`
	}
	var retention string
	k := public.KafkaRequest{Kind: "Kafka"}
	err := pool.QueryRow(ctx, `SELECT id, created_at, updated_at, name, status, cloud_provider, region, multi_az, owner, instance_type,
		size_id, size_snapshot, actual_kafka_billing_model, billing_cloud_account_id, marketplace, promotion_status, promotion_details,
		expires_at, max_data_retention_size, reauthentication_enabled, bootstrap_server_host, admin_api_server_url,
		actual_kafka_version, failed_reason FROM kafka_requests WHERE id = $1 AND deleted_at IS NULL`, id).Scan(
		&k.ID, &k.CreatedAt, &k.UpdatedAt, &k.Name, &k.Status, &k.CloudProvider, &k.Region, &k.MultiAZ, &k.Owner, &k.InstanceType,
		&k.SizeID, &size, &k.BillingModel, &k.BillingCloudAccountID, &k.Marketplace, &k.PromotionStatus, &k.PromotionDetails,
		&k.ExpiresAt, &retention, &k.ReauthenticationEnabled, &k.BootstrapServerHost, &k.AdminAPIServerURL,
		&k.Version, &k.FailedReason)
	if err != nil {
		return k, err
	}
	bytes, err := resource.ParseQuantity(retention)
	k.CreatedAt, k.UpdatedAt = k.CreatedAt.UTC(), k.UpdatedAt.UTC()
	k.Href = kafkasPath + "/" + k.ID
	k.BrowserURL = "https://console.bench.test/" + k.ID + "/details/dashboard"
	k.BootstrapServerHost += ":443"
	k.MaxDataRetentionSize.Bytes = bytes.Value()
	k.InstanceTypeName, k.IngressThroughputPerSec, k.EgressThroughputPerSec = size.InstanceTypeName, size.IngressThroughputPerSec, size.EgressThroughputPerSec
	k.TotalMaxConnections, k.MaxPartitions, k.MaxDataRetentionPeriod = size.TotalMaxConnections, size.MaxPartitions, size.MaxDataRetentionPeriod
	k.MaxConnectionAttemptsPerSec = size.MaxConnectionAttemptsPerSec
	return k, err
}

// floor is the running child.
type floor struct {
	cmd     *exec.Cmd
	wait    func() error
	address string
}

func (s *stage) startFloor(ctx context.Context) (*floor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting the floor: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, floorCommand)
	cmd.Env = append(os.Environ(), floorDatabase+"="+s.url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the floor: %w", err)
	}
	wait, err := process.Begin(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting the floor: %w", err)
	}
	f := &floor{cmd: cmd, wait: wait}
	text, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		f.stop()
		return nil, fmt.Errorf("starting the floor: %w", err)
	}
	f.address = strings.TrimSpace(text)
	return f, nil
}

func (f *floor) stop() {
	_ = f.cmd.Process.Kill()
	_ = f.wait() // it was killed
}
