package main

import (
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

// The realms of the SSO.
const (
	customerRealm = "redhat-external" // people
	accountRealm  = "rhoas"           // service accounts, agents, canaries, where the fleet manager keeps them
	adminRealm    = "rhoas-kafka-sre" // administrators
)

// publicClient is a client of the SSO that needs no secret, as pages and tools of people have it.
const publicClient = "cloud-services"

// The organisations.
const (
	mainOrg    = "13640203" // plenty of quota
	strangeOrg = "99000001" // no quota: trial instances only
	limitedOrg = "99000002" // quota for one streaming unit
	marketOrg  = "99000003" // quota that a marketplace bills, and one account there
	severalOrg = "99000004" // the same, and accounts at two marketplaces
	evalOrg    = "99000005" // quota for an evaluation
	serviceOrg = "88000001" // the fleet manager's own, where the SSO keeps accounts
)

const (
	mainQuota  = 100
	deniedUser = "eve"
	termsUser  = "tess" // has not accepted the terms
	bannedUser = "bart" // is banned at accounts management
	kafkaZone  = "kafka.sandbox.test"
	fleetAddon = "kas-fleetshard-operator"
)

// grant is quota of an organisation for standard instances, whoever keeps count of it.
type grant struct {
	model string
	units int
}

// customers are the organisations that order.
type customers struct {
	id, name string
	grants   []grant
	accounts []ams.CloudAccount // at marketplaces; only accounts management knows of them
}

func customerOrgs() []customers {
	return []customers{
		{id: mainOrg, name: "Main", grants: []grant{{"standard", mainQuota}}},
		{id: strangeOrg, name: "Strange"},
		{id: limitedOrg, name: "Limited", grants: []grant{{"standard", 1}}},
		{id: marketOrg, name: "Market", grants: []grant{{"marketplace", 5}}, accounts: []ams.CloudAccount{{ID: "123456789012", Provider: "aws"}}},
		{
			id: severalOrg, name: "Several", grants: []grant{{"marketplace", 5}},
			accounts: []ams.CloudAccount{{ID: "210987654321", Provider: "aws"}, {ID: "7000001", Provider: "rhm"}},
		},
		{id: evalOrg, name: "Evaluation", grants: []grant{{"eval", 1}}},
	}
}

// people can all log in with their name as their password.
func people() []sso.User {
	users := []sso.User{
		{Username: "alice", OrgID: mainOrg, AccountID: "1001"},
		{Username: "bob", OrgID: mainOrg, AccountID: "1002"},
		{Username: "carol", OrgID: mainOrg, AccountID: "1003", OrgAdmin: true},
		{Username: deniedUser, OrgID: mainOrg, AccountID: "1004"},
		{Username: termsUser, OrgID: mainOrg, AccountID: "1005"},
		{Username: bannedUser, OrgID: mainOrg, AccountID: "1006"},
		{Username: "mallory", OrgID: strangeOrg, AccountID: "2001"},
		{Username: "dave", OrgID: limitedOrg, AccountID: "3001"},
		{Username: "marie", OrgID: marketOrg, AccountID: "5001"},
		{Username: "sven", OrgID: severalOrg, AccountID: "6001"},
		{Username: "evan", OrgID: evalOrg, AccountID: "7001"},
		{Username: "nora", AccountID: "4001"},
		{Realm: adminRealm, Username: "admin", Roles: []string{"kas-fleet-manager-admin-full"}},
		{Realm: adminRealm, Username: "admin-writer", Roles: []string{"kas-fleet-manager-admin-write"}},
		{Realm: adminRealm, Username: "admin-reader", Roles: []string{"kas-fleet-manager-admin-read"}},
	}
	for i := range users {
		users[i].Password = users[i].Username
	}
	return users
}

// tokenOwners says whose access token each variable of sandbox.env holds.
func tokenOwners() map[string]string {
	return map[string]string{
		"USER_TOKEN": "alice", "COLLEAGUE_TOKEN": "bob", "ORG_ADMIN_TOKEN": "carol", "DENIED_TOKEN": deniedUser,
		"STRANGER_TOKEN": "mallory", "LIMITED_TOKEN": "dave", "NO_ORG_TOKEN": "nora",
		"MARKETPLACE_TOKEN": "marie", "SEVERAL_ACCOUNTS_TOKEN": "sven", "EVAL_TOKEN": "evan",
		"NO_TERMS_TOKEN": termsUser, "BANNED_TOKEN": bannedUser,
		"ADMIN_TOKEN": "admin", "ADMIN_WRITE_TOKEN": "admin-writer", "ADMIN_READ_TOKEN": "admin-reader",
	}
}

func accounts() []ams.Account {
	var all []ams.Account
	for _, u := range people() {
		if u.OrgID != "" {
			all = append(all, ams.Account{
				ID: u.AccountID, Username: u.Username, OrgExternalID: u.OrgID,
				Banned: u.Username == bannedUser, TermsRequired: u.Username == termsUser,
			})
		}
	}
	return all
}

func organisations() []ams.Organisation {
	var all []ams.Organisation
	for _, c := range customerOrgs() {
		o := ams.Organisation{ExternalID: c.id, Name: c.name, EBSAccountID: "1" + c.id, CloudAccounts: c.accounts}
		for _, g := range c.grants {
			o.Quota = append(o.Quota, quotaFor(g))
		}
		// One of each user, whatever the organisation has.
		o.Quota = append(o.Quota, ams.Quota{Product: "RHOSAKTrial", BillingModel: "standard", Allowed: 1, Free: true})
		all = append(all, o)
	}
	return all
}

// quotaFor is a grant in the words of accounts management, where an evaluation is a
// product of its own.
func quotaFor(g grant) ams.Quota {
	if g.model == "eval" {
		return ams.Quota{Product: "RHOSAKEval", BillingModel: "standard", Allowed: g.units}
	}
	return ams.Quota{Product: "RHOSAK", BillingModel: g.model, Allowed: g.units}
}

// clusters are the data planes, the first of which sandbox.env is about.
func clusters() []ocm.Cluster {
	return []ocm.Cluster{
		{
			ID: "1sandbox0000000000000000000000c1", Name: "mk-sandbox1", CloudProvider: "aws", Region: "us-east-1",
			MultiAZ: true, DNS: "apps.mk-sandbox1.example.test",
		},
		{
			ID: "1sandbox0000000000000000000000c2", Name: "mk-sandbox2", CloudProvider: "aws", Region: "us-east-1",
			MultiAZ: true, DNS: "apps.mk-sandbox2.example.test",
		},
	}
}
