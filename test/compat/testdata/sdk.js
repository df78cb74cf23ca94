// Calls every operation of the published JavaScript SDK once and says, a line each,
// how it read the answer. Usage: node sdk.js, with SDK_DIR, ORIGIN and TOKEN set.
const { createRequire } = require("node:module");
const { join } = require("node:path");

const sdk = createRequire(join(process.env.SDK_DIR, "package.json"))("@rhoas/kafka-management-sdk");
const settings = new sdk.Configuration({ accessToken: process.env.TOKEN, basePath: process.env.ORIGIN });
const api = new sdk.DefaultApi(settings);
const security = new sdk.SecurityApi(settings);
const errors = new sdk.ErrorsApi(settings);

async function call(name, doing) {
  const seen = { name };
  try {
    const reply = await doing();
    seen.status = reply.status;
    seen.data = reply.data;
  } catch (failure) {
    if (!failure.response) throw failure;
    seen.status = failure.response.status;
    seen.code = sdk.isServiceApiError(failure) ? sdk.getErrorCode(failure) : "not typed";
  }
  process.stdout.write(JSON.stringify(seen) + "\n");
  return seen.data;
}

async function ready(id) {
  for (;;) {
    const { status } = (await api.getKafkaById(id)).data;
    if (!["accepted", "preparing", "provisioning"].includes(status)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function instances() {
  const { id } = await call("create", () => api.createKafka(true, { name: "one", cloud_provider: "aws", region: "us-east-1", plan: "standard.x1" }));
  await call("name taken", () => api.createKafka(true, { name: "one" }));
  await call("not async", () => api.createKafka(false, { name: "two" }));
  await ready(id);
  await call("list", () => api.getKafkas("1", "10", "name asc, created_at desc", "name like on%"));
  await call("get", () => api.getKafkaById(id));
  await call("get unknown", () => api.getKafkaById("unknown"));
  await call("update", () => api.updateKafkaById(id, { reauthentication_enabled: false, owner: null }));
  const metrics = ["kafka_broker_quota_softlimitbytes", "kafka_instance_partition_limit"];
  await call("instant", () => api.getMetricsByInstantQuery(id, metrics));
  await call("range", () => api.getMetricsByRangeQuery(id, 5, 30, metrics));
  await call("federate", () => api.federateMetrics(id));
  await call("delete", () => api.deleteKafkaById(id, true));
}

async function accounts() {
  const made = await call("account create", () => security.createServiceAccount({ name: "one", description: "" }));
  await call("account list", () => security.getServiceAccounts());
  await call("account find", () => security.getServiceAccounts(made.client_id));
  await call("account get", () => security.getServiceAccountById(made.id));
  await call("account reset", () => security.resetServiceAccountCreds(made.id));
  await call("account delete", () => security.deleteServiceAccountById(made.id));
  await call("account gone", () => security.getServiceAccountById(made.id));
}

async function catalogue() {
  await call("version", () => api.getVersionMetadata());
  await call("providers", () => api.getCloudProviders("1", "10"));
  await call("regions", () => api.getCloudProviderRegions("aws"));
  await call("types", () => api.getInstanceTypesByCloudProviderAndRegion("aws", "us-east-1"));
  await call("sso", () => security.getSsoProviders());
  await call("error", () => errors.getErrorById("36"));
  const { items } = (await errors.getErrors()).data;
  const ours = items.map((one) => one.code).sort();
  const theirs = Object.values(sdk.APIErrorCodes).sort();
  await call("codes", async () => ({ status: 200, data: { ours, theirs } }));
}

(async () => {
  await catalogue();
  await instances();
  await accounts();
})();
