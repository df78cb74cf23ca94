package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const environmentFile = "sandbox.env"

// variable is one line of sandbox.env.
type variable struct{ name, value string }

func (w *world) makeTokens() (map[string]string, error) {
	tokens := map[string]string{}
	for name, user := range tokenOwners() {
		token, err := w.upstreams.SSO.UserToken(user)
		if err != nil {
			return nil, fmt.Errorf("making a token: %w", err)
		}
		tokens[name] = token
	}
	var err error
	tokens["OFFLINE_TOKEN"], err = w.upstreams.SSO.OfflineToken("alice")
	return tokens, err
}

// environment is all that a client of the world needs to know.
func (w *world) environment() []variable {
	p, first, all := w.ports, w.ports.Replicas[0], clusters()
	agent, other := w.agentAccount(all[0].ID), w.agentAccount(all[1].ID)
	list := []variable{
		{"API_URL", address(first.API)},
		{"API_URLS", w.join(func(r replicaPorts) int { return r.API })},
		{"METRICS_URL", address(first.Metrics)},
		{"METRICS_URLS", w.join(func(r replicaPorts) int { return r.Metrics })},
		{"HEALTH_URL", address(first.Health)},
		{"HEALTH_URLS", w.join(func(r replicaPorts) int { return r.Health })},
		{"GATEWAY_URL", address(p.Gateway)},
		{"LOCAL_DEV_URL", address(p.Gateway) + "/as/alice"},
		{"SSO_URL", address(p.SSO)},
		{"LOGIN_URL", w.upstreams.SSO.Issuer(customerRealm)},
		{"ADMIN_LOGIN_URL", w.upstreams.SSO.Issuer(adminRealm)},
		{"SSO_TOKEN_URL", w.upstreams.SSO.Issuer(w.settings.accountRealm()) + "/protocol/openid-connect/token"},
		{"SERVICE_ACCOUNTS_URL", w.upstreams.SSO.Issuer(customerRealm) + "/apis/service_accounts/v1"},
		{"SANDBOX_ADMIN_URL", address(p.Admin)},
		{"OCM_URL", address(p.OCM)},
		{"ROUTE53_URL", address(p.Route53)},
		{"OBSERVATORIUM_URL", address(p.Observatorium)},
		{"PROMETHEUS_URL", w.prometheusURL()},
		{"DATABASE_URL", w.database.url},
		{"KAFKA_ROUTER_ADDR", local(p.Router)},
		{"KAFKA_CA_FILE", w.folder.file("ca.pem")},
		{"SIGNING_KEY_FILE", w.folder.file("signing-key.pem")},
		{"SIGNING_KID", w.upstreams.SSO.SigningKID(customerRealm)},
		{"CLUSTER_ID", all[0].ID},
		{"CLUSTER_DNS", all[0].DNS},
		{"AGENT_CLIENT_ID", agent.id},
		{"AGENT_CLIENT_SECRET", agent.secret},
		{"OTHER_CLUSTER_ID", all[1].ID},
		{"OTHER_CLUSTER_DNS", all[1].DNS},
		{"OTHER_AGENT_CLIENT_ID", other.id},
		{"OTHER_AGENT_CLIENT_SECRET", other.secret},
		{"FLEET_MANAGER_PIDS", joined(w.fleet.pids())},
		{"SANDBOX_PID", strconv.Itoa(os.Getpid())},
		{"POSTGRES_PID", pidText(w.database.pid)},
		{"PROMETHEUS_PID", pidText(w.prometheusPID())},
	}
	names := make([]string, 0, len(w.tokens))
	for name := range w.tokens {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list = append(list, variable{name, w.tokens[name]})
	}
	return list
}

// account is what a program logs in with.
type account struct{ id, secret string }

// agentAccount is what the fleet manager gave the agent of a cluster.
func (w *world) agentAccount(clusterID string) account {
	parameters, _ := w.upstreams.OCM.AddonParameters(clusterID, fleetAddon)
	return account{id: parameters["sso-client-id"], secret: parameters["sso-secret"]}
}

func (w *world) join(port func(replicaPorts) int) string {
	var urls []string
	for _, r := range w.ports.Replicas {
		urls = append(urls, address(port(r)))
	}
	return strings.Join(urls, " ")
}

func joined(pids []int) string {
	var texts []string
	for _, pid := range pids {
		texts = append(texts, pidText(pid))
	}
	return strings.Join(texts, " ")
}

// pidText is empty for a process that is not ours.
func pidText(pid int) string {
	if pid == 0 {
		return ""
	}
	return strconv.Itoa(pid)
}

// writeEnvironment writes sandbox.env.
func (w *world) writeEnvironment() error {
	w.written.Lock()
	defer w.written.Unlock()
	_, err := w.folder.write(environmentFile, shell(w.environment()))
	return err
}

// refreshEnvironment writes it again when a replica has another pid.
func (w *world) refreshEnvironment() {
	w.written.Lock()
	whole := w.whole
	w.written.Unlock()
	if !whole {
		return
	}
	if err := w.writeEnvironment(); err != nil {
		w.say("%s is out of date: %v", environmentFile, err)
	}
}

// shell writes variables so that any POSIX shell reads them back unchanged.
func shell(list []variable) string {
	var b strings.Builder
	for _, v := range list {
		fmt.Fprintf(&b, "export %s='%s'\n", v.name, strings.ReplaceAll(v.value, "'", `'\''`))
	}
	return b.String()
}

const guide = `
The world is up. Ctrl-C ends it.

  API              %[1]s          metrics  %[2]s/metrics   health  %[3]s/healthcheck
  gateway          %[4]s          SSO      %[5]s   sandbox admin  %[6]s
  API page         %[1]s/api/kafkas_mgmt/v1/openapi/ui   log in with Authorize, or paste $USER_TOKEN or $ADMIN_TOKEN there
  Kafka router     %[7]s     CA       %[8]s
  users            the password is the name; the variable in brackets holds a token
                   alice [USER_TOKEN], bob [COLLEAGUE_TOKEN], carol [ORG_ADMIN_TOKEN]: quota for %[11]d instances
                   dave [LIMITED_TOKEN]: quota for one; mallory [STRANGER_TOKEN]: none, so a trial; evan [EVAL_TOKEN]: an evaluation
                   marie [MARKETPLACE_TOKEN]: billed by a marketplace; sven [SEVERAL_ACCOUNTS_TOKEN]: by one of two
                   eve [DENIED_TOKEN]: denied; nora [NO_ORG_TOKEN]: of no organisation; with QUOTA_TYPE=ams also
                   tess [NO_TERMS_TOKEN]: has not accepted the terms; bart [BANNED_TOKEN]: banned
                   docs/guides/try-refusals.md tells what each of them reads
  administrators   admin [ADMIN_TOKEN], admin-writer [ADMIN_WRITE_TOKEN], admin-reader [ADMIN_READ_TOKEN], of a realm of their own;
                   docs/guides/look-at-the-fleet.md tells what they see
  logs             %[9]s

Load the variables first; the commands below use them:

  . %[10]s

  # log in with the tools that customers have; a logout there ends $OFFLINE_TOKEN, too
  rhoas login --insecure --token $OFFLINE_TOKEN --api-gateway $GATEWAY_URL --auth-url $LOGIN_URL
  ocm login --insecure --token $OFFLINE_TOKEN --url $GATEWAY_URL --token-url $LOGIN_URL/protocol/openid-connect/token
  # the same again, or as somebody else: with a new token, of marie for one
  OFFLINE_TOKEN=$(curl -s -d grant_type=password -d client_id=cloud-services -d username=marie -d password=marie \
    -d scope=offline_access $LOGIN_URL/protocol/openid-connect/token | sed 's/.*"refresh_token":"\([^"]*\)".*/\1/')
  # create a service account; its reply holds the credentials for Kafka
  curl -s -H "Authorization: Bearer $USER_TOKEN" -H 'Content-Type: application/json' \
    -d '{"name":"my-account"}' $API_URL/api/kafkas_mgmt/v1/service_accounts
  # the same at the SSO itself, as the command line tool does; both see the accounts of both
  curl -s -H "Authorization: Bearer $USER_TOKEN" $SERVICE_ACCOUNTS_URL
  # without a login, for tools that have none: Terraform's provider with LOCAL_DEV=$LOCAL_DEV_URL
  curl -s $LOCAL_DEV_URL/apis/service_accounts/v1
  # create a Kafka
  curl -s -H "Authorization: Bearer $USER_TOKEN" -H 'Content-Type: application/json' \
    -d '{"name":"my-kafka"}' "$API_URL/api/kafkas_mgmt/v1/kafkas?async=true"
  # list, get, delete
  curl -s -H "Authorization: Bearer $USER_TOKEN" $API_URL/api/kafkas_mgmt/v1/kafkas
  curl -s -H "Authorization: Bearer $USER_TOKEN" $API_URL/api/kafkas_mgmt/v1/kafkas/KAFKA_ID
  curl -s -H "Authorization: Bearer $USER_TOKEN" -X DELETE "$API_URL/api/kafkas_mgmt/v1/kafkas/KAFKA_ID?async=true"
  # the instances of everybody, as an administrator sees them, and how one gets a token
  curl -s -H "Authorization: Bearer $ADMIN_READ_TOKEN" $API_URL/api/kafkas_mgmt/v1/admin/kafkas
  curl -s -d grant_type=password -d client_id=admin-cli -d username=admin-reader -d password=admin-reader $ADMIN_LOGIN_URL/protocol/openid-connect/token
  # resolve a bootstrap host as the DNS records say; the reply names the address to connect to
  curl -s "$SANDBOX_ADMIN_URL/resolve?host=BOOTSTRAP_HOST"
  # what an agent gets
  curl -s -H "Authorization: Bearer $(curl -s -d grant_type=client_credentials -d client_id=$AGENT_CLIENT_ID \
    -d client_secret=$AGENT_CLIENT_SECRET $SSO_TOKEN_URL |
    sed 's/.*"access_token":"\([^"]*\)".*/\1/')" $API_URL/api/kafkas_mgmt/v1/agent-clusters/$CLUSTER_ID/kafkas
  # what a customer sees of a Kafka's figures: now, over a span, and for a Prometheus of the customer's own
  curl -s -H "Authorization: Bearer $USER_TOKEN" $API_URL/api/kafkas_mgmt/v1/kafkas/KAFKA_ID/metrics/query
  curl -s -H "Authorization: Bearer $USER_TOKEN" "$API_URL/api/kafkas_mgmt/v1/kafkas/KAFKA_ID/metrics/query_range?duration=5&interval=30"
  curl -s -H "Authorization: Bearer $USER_TOKEN" $API_URL/api/kafkas_mgmt/v1/kafkas/KAFKA_ID/metrics/federate
  # metrics, health, and how to break the upstreams
  curl -s $METRICS_URL/metrics
  curl -s $HEALTH_URL/healthcheck
  curl -s $SANDBOX_ADMIN_URL/

`

// show tells how to use the world.
func (w *world) show() {
	first := w.ports.Replicas[0]
	w.outLock.Lock()
	defer w.outLock.Unlock()
	_, _ = fmt.Fprintf(w.out, guide, address(first.API), address(first.Metrics), address(first.Health), address(w.ports.Gateway),
		address(w.ports.SSO), address(w.ports.Admin), local(w.ports.Router), w.folder.file("ca.pem"),
		w.folder.file("*.log"), w.folder.file(environmentFile), mainQuota)
}
