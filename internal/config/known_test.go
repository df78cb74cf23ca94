package config_test

// knownFlags are the flags that existing deployments may pass.
const knownFlags = `
api-server-bindaddress enable-https https-cert-file https-key-file metrics-server-bindaddress enable-metrics-https
health-check-server-bindaddress enable-health-check-https enable-terms-acceptance jwks-url jwks-file jwks-verify-insecure
token-issuer-url public-host-url
db-host-file db-port-file db-name-file db-user-file db-password-file db-ssl-certificate-file db-sslmode
db-max-open-connections enable-db-debug
reconciler-repeat-interval leader-election-reconciler-repeat-interval leader-lease-expiration-time
tenant-username-claim alternate-tenant-username-claim tenant-id-claim alternate-tenant-id-claim tenant-user-id-claim
tenant-org-admin-claim admin-authz-config-file
enable-deny-list deny-list-config-file enable-access-list access-list-config-file quota-type
quota-management-list-config-file enable-instance-limit-control max-allowed-instances allow-developer-instance
max-allowed-developer-instances
supported-kafka-instance-types-config-file providers-config-file kafka-domain-name enable-kafka-cname-registration
browser-url enable-kafka-owner-config kafka-owner-list-file kas-fleetshard-poll-interval kas-fleetshard-resync-interval
enable-kafka-external-certificate kafka-tls-cert-file kafka-tls-key-file kafka-tls-certificate-management-strategy
kafka-tls-certificate-management-storage-type kafka-tls-certificate-management-email
kafka-tls-certificate-management-acme-issuer-account-key-file-path kafka-tls-certificate-management-renewal-window-ratio
kafka-tls-certificate-management-secure-storage-cache-ttl kafka-tls-certificate-management-must-staple
sso-provider-type mas-sso-base-url mas-sso-realm mas-sso-client-id-file mas-sso-client-secret-file mas-sso-cert-file
mas-sso-enable-auth mas-sso-insecure mas-sso-debug osd-idp-mas-sso-realm osd-idp-mas-sso-client-id-file
osd-idp-mas-sso-client-secret-file redhat-sso-base-url redhat-sso-scope redhat-sso-client-id-file
redhat-sso-client-secret-file admin-api-sso-base-url admin-api-sso-endpoint-uri admin-api-sso-realm
max-allowed-service-accounts max-limit-for-sso-get-clients user-name-claim fall-back-user-name-claim
service-account-limits-check-skip-org-id-list-file sso-special-management-org-id
ocm-base-url ams-base-url ocm-token-url ocm-client-id-file ocm-client-secret-file self-token-file enable-ocm-mock
ocm-mock-mode ocm-debug strimzi-operator-addon-id kas-fleetshard-addon-id cluster-logging-operator-addon-id
dataplane-cluster-scaling-type dataplane-cluster-config-file dynamic-scaling-config-file node-prewarming-config-file
enable-ready-dataplane-clusters-reconcile enable-kafka-sre-identity-provider-configuration read-only-user-list-file
kafka-sre-user-list-file image-pull-docker-config-file kubeconfig
strimzi-operator-index-image strimzi-operator-namespace strimzi-operator-package strimzi-operator-starting-csv
strimzi-operator-sub-channel strimzi-operator-subscription-config-file
kas-fleetshard-operator-index-image kas-fleetshard-operator-namespace kas-fleetshard-operator-package
kas-fleetshard-operator-starting-csv kas-fleetshard-operator-sub-channel kas-fleetshard-operator-subscription-config-file
observability-operator-index-image observability-operator-starting-csv
aws-account-id-file aws-access-key-file aws-secret-access-key-file aws-route53-access-key-file
aws-route53-secret-access-key-file aws-secret-manager-access-key-file aws-secret-manager-secret-access-key-file
aws-secret-manager-region aws-secret-manager-secret-prefix gcp-api-credentials-file
observability-red-hat-sso-token-refresher-url observability-red-hat-sso-tenant observatorium-timeout
observatorium-ignore-ssl enable-observatorium-mock observability-config-repo observability-config-channel
observability-config-tag observability-cloudwatchlogging-enable observability-cloudwatchlogging-config-file-path
dataplane-observability-config-enable dataplane-observability-config-file-path
enable-sentry sentry-key-file sentry-url sentry-project sentry-timeout enable-sentry-debug
v vmodule logtostderr alsologtostderr stderrthreshold log_dir log_link log_backtrace_at logbuflevel
`
