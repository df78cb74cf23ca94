package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/kas-fleet/kas-fleet-manager/test/broker"
)

const exchangeDeadline = time.Minute

// exchange sends messages through a Kafka as a customer's program does.
type exchange struct {
	bootstrap      string
	dialer         broker.Dialer
	user, password string
	topic          string
	messages       int
}

func (e exchange) client(password string, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(e.bootstrap + ":" + strconv.Itoa(broker.Port)),
		kgo.Dialer(e.dialer.DialContext),
		kgo.SASL(plain.Auth{User: e.user, Pass: password}.AsMechanism()),
	}, more...)...)
}

// refusesStrangers makes sure that the messages prove something.
func (e exchange) refusesStrangers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeDeadline)
	defer cancel()
	client, err := e.client("wrong")
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Ping(ctx); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		return fmt.Errorf("a wrong password was not refused: %w", err)
	}
	return nil
}

// run produces the messages and consumes each exactly once.
func (e exchange) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeDeadline)
	defer cancel()
	client, err := e.client(e.password, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic(e.topic),
		kgo.ConsumeTopics(e.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	records := make([]*kgo.Record, e.messages)
	for n := range records {
		records[n] = &kgo.Record{Key: []byte(strconv.Itoa(n)), Value: []byte("message " + strconv.Itoa(n))}
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("producing: %w", err)
	}
	return e.consume(ctx, client)
}

func (e exchange) consume(ctx context.Context, client *kgo.Client) error {
	got := map[string]bool{}
	for len(got) < e.messages {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("consuming: %d of %d messages came: %w", len(got), e.messages, err)
		}
		for _, record := range fetches.Records() {
			key := string(record.Key)
			if string(record.Value) != "message "+key || got[key] {
				return fmt.Errorf("consuming: message %q came twice or changed", key)
			}
			got[key] = true
		}
	}
	return nil
}
