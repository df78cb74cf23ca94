package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ports are those of one world. All are on the loopback interface.
type ports struct {
	Replicas                                  []replicaPorts
	Gateway, SSO, Admin, OCM, Route53, Router int
	Observatorium, Prometheus, Figures        int
}

type replicaPorts struct{ API, Metrics, Health int }

func portsOf(replicas, offset int) ports {
	p := ports{
		Gateway: 8090 + offset, SSO: 8180 + offset, Admin: 8190 + offset, OCM: 8191 + offset, Route53: 8192 + offset,
		Router: 9443 + offset, Observatorium: 8193 + offset, Prometheus: 8194 + offset, Figures: 8195 + offset,
	}
	for n := range replicas {
		at := offset + n*1000
		p.Replicas = append(p.Replicas, replicaPorts{API: 8000 + at, Metrics: 8080 + at, Health: 8083 + at})
	}
	return p
}

type namedPort struct {
	name string
	port int
}

func (p ports) all() []namedPort {
	list := []namedPort{
		{"gateway", p.Gateway}, {"SSO", p.SSO}, {"sandbox admin", p.Admin}, {"OCM", p.OCM}, {"Route 53", p.Route53},
		{"Kafka router", p.Router}, {"Observatorium", p.Observatorium}, {"Prometheus", p.Prometheus}, {"figures of the brokers", p.Figures},
	}
	for _, r := range p.Replicas {
		list = append(list, namedPort{"API", r.API}, namedPort{"metrics", r.Metrics}, namedPort{"health", r.Health})
	}
	return list
}

func (p ports) highest() int {
	most := 0
	for _, one := range p.all() {
		most = max(most, one.port)
	}
	return most
}

// check tells in one line which ports others have.
func (p ports) check(ctx context.Context) error {
	var taken []string
	for _, one := range p.all() {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", local(one.port))
		if err != nil {
			taken = append(taken, fmt.Sprintf("%d (%s)", one.port, one.name))
			continue
		}
		_ = listener.Close()
	}
	if len(taken) > 0 {
		return fmt.Errorf("taken: port %s: stop who listens there, or set PORT_OFFSET, such as PORT_OFFSET=20000", strings.Join(taken, ", "))
	}
	return nil
}

// freeOffset finds an offset whose ports are all free, none first.
func freeOffset(ctx context.Context, replicas int) (int, error) {
	for _, offset := range []int{0, 20000, 20200, 20400, 20600, 30000, 30200, 30400} {
		if portsOf(replicas, offset).check(ctx) == nil {
			return offset, nil
		}
	}
	return 0, errors.New("no free range of ports found: set PORT_OFFSET")
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// address is how clients name the port. Issuers of tokens are compared letter by
// letter, so there is one way to write it.
func address(port int) string { return "http://localhost:" + strconv.Itoa(port) }
