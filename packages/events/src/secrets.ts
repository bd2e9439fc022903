/** Names under which raw secrets are found: a raw session id, token or tried password is never logged. */

const NAMES: ReadonlySet<string> = new Set([
  "apikey",
  "apitoken",
  "accesstoken",
  "authorization",
  "authtoken",
  "bearertoken",
  "clientsecret",
  "cookie",
  "csrftoken",
  "currentpassword",
  "idtoken",
  "jsessionid",
  "newpassword",
  "oldpassword",
  "passphrase",
  "passwd",
  "password",
  "phpsessid",
  "privatekey",
  "pwd",
  "refreshtoken",
  "secret",
  "secretkey",
  "sessionid",
  "sessiontoken",
  "setcookie",
  "sharedsecret",
  "token",
  "totpsecret",
]);

/** Whether `name`, in whatever case and with whatever separators, is one under which a raw secret is usually found. */
export function isSecretName(name: string): boolean {
  return name.length <= 40 && NAMES.has(name.toLowerCase().replaceAll(/[^a-z]/g, ""));
}
