package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/pkg/api/public"
	"github.com/kas-fleet/kas-fleet-manager/test/broker"
)

const (
	demoDeadline = 4 * time.Minute
	goneDeadline = 60 * time.Second
)

// story is what the demo does, step by step.
type story struct {
	world    *world
	customer *customer
	messages int

	account public.ServiceAccount
	kafka   public.KafkaRequest
	steps   []step
}

// step is one line of the summary.
type step struct {
	name, result string
	took         time.Duration
}

// demo tells the whole story in a world of its own.
func demo(ctx context.Context, s settings, messages int, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoDeadline)
	defer cancel()
	if messages < 1 {
		return errors.New("messages: at least one is needed")
	}
	if !s.agents() {
		return errors.New("AGENTS=none: without agents no Kafka becomes ready")
	}
	if !s.offsetGiven {
		if s.Offset, err = freeOffset(ctx, s.Replicas); err != nil {
			return err
		}
	}
	began := time.Now()
	w, err := openWorld(ctx, s, out)
	if err != nil {
		return err
	}
	t := &story{world: w, messages: messages}
	t.steps = append(t.steps, step{"the world starts", fmt.Sprintf("%d fleet manager(s), %d clusters", s.Replicas, len(clusters())), time.Since(began)})
	err = t.tell(ctx)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("interrupted or out of time: %w", err)
	}
	err = errors.Join(err, w.close())
	t.summarise(out, time.Since(began), err)
	return err
}

func (t *story) tell(ctx context.Context) (err error) {
	if t.customer, err = newCustomer(address(t.world.ports.Gateway), t.world.tokens["USER_TOKEN"]); err != nil {
		return err
	}
	for _, chapter := range []struct {
		name string
		tell func(context.Context) (string, error)
	}{
		{"a service account is created", t.createAccount},
		{"a Kafka is ordered and becomes ready", t.createKafka},
		{"its host resolves", t.resolve},
		{"messages go through it", t.exchange},
		{"its metrics tell of them", t.measure},
		{"it is deleted", t.deleteKafka},
		{"nothing is left of it", t.inspect},
		{"the service account is deleted", t.deleteAccount},
	} {
		began := time.Now()
		result, err := chapter.tell(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", chapter.name, err)
		}
		t.steps = append(t.steps, step{chapter.name, result, time.Since(began)})
	}
	return nil
}

func (t *story) createAccount(ctx context.Context) (result string, err error) {
	if t.account, err = t.customer.createAccount(ctx, "demo-account"); err != nil {
		return "", err
	}
	t.world.say("service account %s created", t.account.ClientID)
	return t.account.ClientID, nil
}

func (t *story) createKafka(ctx context.Context) (result string, err error) {
	began := time.Now()
	if t.kafka, err = t.customer.createKafka(ctx, "demo-kafka"); err != nil {
		return "", err
	}
	t.world.say("Kafka %s ordered", t.kafka.ID)
	var seen []string
	t.kafka, err = t.customer.follow(ctx, t.kafka, func(k public.KafkaRequest) bool {
		t.world.say("  %5.2fs  %s", time.Since(began).Seconds(), k.Status)
		seen = append(seen, k.Status)
		return k.Status == "ready"
	})
	if err != nil {
		return "", fmt.Errorf("waiting for ready (seen: %s): %w", strings.Join(seen, ", "), err)
	}
	return strings.Join(seen, " → "), nil
}

func (t *story) bootstrap() string {
	host, _, _ := strings.Cut(t.kafka.BootstrapServerHost, ":")
	return host
}

func (t *story) resolve(ctx context.Context) (string, error) {
	found, err := t.world.lookUp(ctx, t.bootstrap())
	if err != nil {
		return "", err
	}
	for _, record := range t.records() {
		t.world.say("  %s", record)
	}
	t.world.say("%s is at %s", found.Host, found.Address)
	return fmt.Sprintf("%s, %d DNS records", found.Address, len(t.records())), nil
}

func (t *story) exchange(ctx context.Context) (string, error) {
	dialer := broker.Dialer{Roots: t.world.authority.Pool(), Resolve: func(ctx context.Context, host string) (string, error) {
		found, err := t.world.lookUp(ctx, host)
		return found.Address, err
	}}
	e := exchange{
		bootstrap: t.bootstrap(), dialer: dialer, user: t.account.ClientID, password: t.account.ClientSecret,
		topic: "demo", messages: t.messages,
	}
	if err := e.refusesStrangers(ctx); err != nil {
		return "", err
	}
	t.world.say("a wrong password is refused")
	if err := e.run(ctx); err != nil {
		return "", err
	}
	t.world.say("%d messages produced and consumed through %s:443", t.messages, t.bootstrap())
	return fmt.Sprintf("%d produced and consumed", t.messages), nil
}

func (t *story) deleteKafka(ctx context.Context) (string, error) {
	began := time.Now()
	if err := t.customer.deleteKafka(ctx, t.kafka.ID); err != nil {
		return "", err
	}
	t.world.say("deletion ordered")
	var seen []string
	_, err := t.customer.follow(ctx, t.kafka, func(k public.KafkaRequest) bool {
		if k.Status != "ready" {
			t.world.say("  %5.2fs  %s", time.Since(began).Seconds(), k.Status)
			seen = append(seen, k.Status)
		}
		return false
	})
	if !errors.Is(err, errGone) {
		return "", fmt.Errorf("waiting for 404 (seen: %s): %w", strings.Join(seen, ", "), err)
	}
	t.world.say("  %5.2fs  404", time.Since(began).Seconds())
	return strings.Join(append(seen, "404"), " → "), nil
}

func (t *story) deleteAccount(ctx context.Context) (string, error) {
	if err := t.customer.deleteAccount(ctx, t.account.ID); err != nil {
		return "", err
	}
	if _, left := t.world.upstreams.SSO.Client(t.world.settings.accountRealm(), t.account.ClientID); left {
		return "", fmt.Errorf("the SSO still has the client %s", t.account.ClientID)
	}
	t.world.say("service account deleted, its SSO client is gone")
	return "SSO client gone", nil
}

func (t *story) summarise(out io.Writer, total time.Duration, err error) {
	_, _ = fmt.Fprintf(out, "\n%-40s %9s  %s\n", "step", "took", "result")
	for _, s := range t.steps {
		_, _ = fmt.Fprintf(out, "%-40s %8.2fs  %s\n", s.name, s.took.Seconds(), s.result)
	}
	verdict := "all is well, all is stopped"
	if err != nil {
		verdict = "failed; logs in " + t.world.folder.path
	}
	_, _ = fmt.Fprintf(out, "%-40s %8.2fs  %s\n", "total", total.Seconds(), verdict)
}
