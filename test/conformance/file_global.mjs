// alipay-sdk's HTTP client wants the global File, which Node.js has from 20 on;
// Debian 12 has 18, where it is in node:buffer.  Imported before the SDK.
import { File } from 'node:buffer';

globalThis.File ??= File;
