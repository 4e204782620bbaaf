// node-dicom-rs as its documentation shows it: one StoreScp, and one C-MOVE after the other.
const options = JSON.parse(process.argv[2]);
const { MoveScu, StoreScp } = require(options.module);

const receiver = new StoreScp({
  port: options.port,
  callingAeTitle: options.title,
  outDir: options.folder,
  storeWithFileMeta: true, // its default in this version is data sets without a head, which are no DICOM files
});
receiver.onFileStored(() => {});
receiver.onServerStarted(() => console.log("ready"));
receiver.start();

async function move(studies) {
  const scu = new MoveScu({ addr: options.pacs, callingAeTitle: "BENCHMARK", calledAeTitle: options.called });
  for (const uid of studies) {
    const query = { StudyInstanceUID: uid, QueryRetrieveLevel: "STUDY" };
    await scu.moveStudy({ query, moveDestination: options.title });
  }
}

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) =>
    move(JSON.parse(line)).then(
      () => console.log("moved"),
      (error) => console.log(String(error)),
    ),
  );
