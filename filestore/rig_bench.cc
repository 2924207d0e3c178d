#include <fcntl.h>
#include <fmt/format.h>
#include <libaio.h>
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "filestore/bench_rig.h"
#include "filestore/limits.h"

namespace spirula::filestore::bench {

using testing::shell;
using testing::TestDisk;

double seconds_since(Time::time_point begin) {
  return std::chrono::duration<double>(Time::now() - begin).count();
}
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

double idle_since() {
  static double all_before = 0, idle_before = 0;
  std::ifstream stat("/proc/stat");
  std::string name;
  stat >> name;
  double all = 0, idle = 0, ticks = 0;
  for (int field = 0; field < 8 && stat >> ticks; ++field) {  // user nice system idle iowait irq softirq steal
    all += ticks;
    if (field == 3 || field == 4) idle += ticks;
  }
  double part = (idle - std::exchange(idle_before, idle)) / std::max(all - std::exchange(all_before, all), 1.0);
  return part;
}

std::map<std::string, ThreadUse> thread_use() {
  std::map<std::string, ThreadUse> found;
  std::error_code gone;  // a thread may end meanwhile
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", gone)) {
    std::string name, field;
    std::getline(std::ifstream(task.path() / "comm"), name);
    ThreadUse& use = found[name];
    double ran_ns = 0;
    if (std::ifstream(task.path() / "schedstat") >> ran_ns) use.cpu_us += ran_ns / 1000;
    std::ifstream status(task.path() / "status");
    while (status >> field)
      if (double count = 0; field.ends_with("voluntary_ctxt_switches:") && status >> count) use.switches += count;
  }
  return found;
}

namespace {
double status_mib(const char* field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with(field)) return std::atof(line.c_str() + line.find_first_of("0123456789")) / 1024;
  return 0;
}
}  // namespace

double resident_mib() {
  return status_mib("VmRSS");
}
double peak_mib() {
  return status_mib("VmHWM");
}
void reset_memory_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

void Table::row(const std::string& what, const std::string& ours, const std::string& beside, const std::string& ratio,
                const std::string& goal, std::optional<bool> met) {
  lines_.push_back(fmt::format("| {} | {} | {} | {} | {} | {} |", what, ours, beside, ratio, goal,
                               met ? *met ? "yes" : "**no**" : ""));
  fmt::print(stderr, "{}\n", lines_.back());
}
void Table::print() const {
  fmt::print("\n| what | measured | beside it | ratio | goal | met |\n| --- | ---: | ---: | ---: | ---: | --- |\n");
  for (const std::string& line : lines_) fmt::print("{}\n", line);
}

ObjectId object_name(std::uint32_t number) {
  ObjectId id;
  id.pool = 1;
  id.hash = number * 0x9e3779b1u;
  id.name = fmt::format("rbd_data.{:016x}", number);
  id.snap = ~std::uint64_t{1};
  return id;
}
CollectionId pg_of(const ObjectId& id) {
  return {1, id.hash & ((1u << pg_bits) - 1)};
}
Buffer random_buffer(std::size_t size, std::uint64_t seed) {
  Buffer buffer = Buffer::allocate(size, 4096);
  SeededRandom random(seed);
  random.fill({buffer.mutable_data(), size});
  return buffer;
}

template <class T>
T Rig::run(Task<T> task) {
  return boost::asio::co_spawn(thread_.shard().context(), std::move(task), boost::asio::use_future).get();
}
template Result<BufferList> Rig::run(Task<Result<BufferList>>);
template Result<ObjectPage> Rig::run(Task<Result<ObjectPage>>);

Rig::Rig(const TestDisk::Size& size, const std::function<void(FilestoreOptions&)>& change, Integrity integrity)
    : disk_(size), journal_bytes_(size.journal_bytes) {
  disk_.format(integrity);
  options_ = disk_.options();
  options_.apply_threads = 0;
  if (change) change(options_);
  open();
  for (std::uint32_t seed = 0; seed < 1u << pg_bits; ++seed) {
    Transaction make;
    make.create_collection(pg_bits);
    submit({1, seed}, std::move(make));
  }
}
Rig::~Rig() {
  close();
}
void Rig::open() {
  auto opened = Filestore::open(options_);
  CHECK(opened.has_value(), opened ? "" : opened.error().message());
  store_ = std::move(*opened);
}
void Rig::close() {
  if (!store_) return;
  run(store_->stop());
  store_.reset();
}
void Rig::submit(CollectionId pg, Transaction transaction) {
  Result<> done = run(store_->submit(pg, std::move(transaction)));
  CHECK(done.has_value(), done ? "" : done.error().message());
}
void Rig::commit() {
  Result<> done = run(store_->commit());
  CHECK(done.has_value(), done ? "" : done.error().message());
}

namespace {

/// One of the loops of a load, on the rig's shard.
Task<int> loop(Rig::Operation operation, std::uint64_t seed, std::function<bool()> more, Outcome& outcome) {
  SeededRandom random(seed);
  while (more()) {
    auto start = Time::now();
    Result<> done = co_await operation(random);
    CHECK(done.has_value(), done ? "" : done.error().message());
    outcome.latency.push_back(static_cast<float>(seconds_since(start) * 1e6));
    ++outcome.count;
  }
  co_return 0;
}
Task<int> paced_loop(Shard& shard, Rig::Operation operation, const bool& over, Outcome& outcome) {
  SeededRandom random(99);
  while (!over) {
    Result<> slept = co_await shard.clock().sleep(std::chrono::milliseconds(1));
    (void)slept;
    auto start = Time::now();
    Result<> done = co_await operation(random);
    CHECK(done.has_value(), done ? "" : done.error().message());
    outcome.latency.push_back(static_cast<float>(seconds_since(start) * 1e6));
    ++outcome.count;
  }
  co_return 0;
}

}  // namespace

Outcome Rig::drive(unsigned depth, const std::function<bool(double seconds)>& more, const Operation& operation) {
  Outcome outcome;
  auto begin = Time::now();
  double cpu = cpu_seconds();
  auto threads = thread_use();
  std::vector<std::future<int>> loops;
  for (unsigned i = 0; i < depth; ++i)
    loops.push_back(boost::asio::co_spawn(
        thread_.shard().context(),
        loop(operation, i + 1, [&] { return more(seconds_since(begin)); }, outcome), boost::asio::use_future));
  for (auto& each : loops) each.get();
  outcome.seconds = seconds_since(begin);
  while (store_->unapplied_bytes() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  double count = static_cast<double>(std::max<std::uint64_t>(outcome.count, 1));
  outcome.cpu_us = (cpu_seconds() - cpu) * 1e6 / count;
  for (const auto& [name, use] : thread_use()) {
    ThreadUse& before = threads[name];
    outcome.threads[name] = {(use.cpu_us - before.cpu_us) / count, (use.switches - before.switches) / count};
  }
  std::ranges::sort(outcome.latency);
  return outcome;
}

Outcome Rig::drive(unsigned depth, double seconds, const Operation& operation) {
  return drive(depth, [seconds](double so_far) { return so_far < seconds; }, operation);
}

std::pair<Outcome, Outcome> Rig::drive_with_reader(unsigned depth, const std::function<bool(double seconds)>& more,
                                                   const Operation& operation, const Operation& read) {
  Outcome reads;
  bool over = false;
  auto reader = boost::asio::co_spawn(thread_.shard().context(), paced_loop(thread_.shard(), read, over, reads),
                                      boost::asio::use_future);
  Outcome writes = drive(depth, more, operation);
  thread_.shard().post([&over] { over = true; });
  reader.get();
  std::ranges::sort(reads.latency);
  return {std::move(writes), std::move(reads)};
}

void Rig::fill() {
  Buffer data = random_buffer(large_bytes);
  for (std::uint32_t i = 0; i < large_count; ++i) {
    Transaction t;
    t.write(object_name(i), 0, data);
    submit(pg_of(object_name(i)), std::move(t));
  }
  for (int i = 0; i < 2; ++i) commit();  // twice: then no kept snapshot needs the journal and the rings any more
}

std::uint64_t Rig::device_bytes() const {
  std::uint64_t sum = 0;
  for (const std::string& device : {disk_.data_device(), disk_.journal_device()}) {
    std::ifstream stat("/sys/block/" + std::filesystem::path(device).filename().string() + "/stat");
    // reads: count, merges, sectors, ticks; writes: count, merges, sectors
    std::uint64_t fields[7]{};
    for (std::uint64_t& each : fields) stat >> each;
    sum += fields[6] * 512;
  }
  return sum;
}

RawDevice::RawDevice() {
  std::filesystem::create_directories("build/disks");
  image_ = std::filesystem::absolute(fmt::format("build/disks/{}-raw.img", ::getpid()));
  shell(fmt::format("fallocate -l 1G {}", image_));
  device_ = shell("losetup --direct-io=on -f --show " + image_);
  testing::write_front(device_, 1 << 30);
}
RawDevice::~RawDevice() {
  shell(fmt::format("losetup -d {} && rm {}", device_, image_));
}

Probe::Probe(const RawDevice& device) {
  thread_ = std::thread([this, path = device.path()] {
    int fd = ::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    CHECK(fd >= 0);
    Buffer block = random_buffer(4096);
    SeededRandom random(3);
    auto note = [](Outcome& in, double seconds) {
      in.latency.push_back(static_cast<float>(std::max(seconds, 0.0) * 1e6));
      ++in.count;
    };
    while (!over_.load()) {
      auto begin = Time::now();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      note(found_.lateness, seconds_since(begin) - 0.002);
      begin = Time::now();
      iovec piece{const_cast<std::byte*>(block.data()), block.size()};
      CHECK(::pwritev2(fd, &piece, 1, static_cast<off_t>(random.below(1 << 18) * 4096), RWF_DSYNC) == 4096);
      note(found_.writes, seconds_since(begin));
    }
    ::close(fd);
  });
}
Probe::~Probe() {
  if (thread_.joinable()) (void)stop();
}
Probe::Found Probe::stop() {
  over_.store(true);
  thread_.join();
  std::ranges::sort(found_.writes.latency);
  std::ranges::sort(found_.lateness.latency);
  return std::move(found_);
}

BareStore bare_store(const Rig& rig, const RawDevice& raw, unsigned depth, double seconds) {
  constexpr unsigned logged_together = 32, logged_bytes = 600, record_bytes = 4'800;
  std::string base = rig.disk().mount_point() + "/bare";
  shell(
      fmt::format("btrfs -q subvolume create {0} && chattr +C {0} && "
                  "dd if=/dev/zero bs={1} count={2} status=none | split -a 4 -d -b {1} - {0}/file && sync -f {0} && "
                  "btrfs -q subvolume snapshot -r {0} {0}.snap",
                  base, Rig::large_bytes, Rig::large_count));
  std::vector<int> files;
  for (std::uint32_t i = 0; i < Rig::large_count; ++i)
    files.push_back(::open(fmt::format("{}/file{:04}", base, i).c_str(), O_RDWR | O_CLOEXEC));
  int log = ::open((base + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int journal = ::open(raw.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), poll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event want{};
  want.events = EPOLLIN | EPOLLET;
  CHECK(files.back() >= 0 && log >= 0 && journal >= 0 && ::epoll_ctl(poll, EPOLL_CTL_ADD, event, &want) == 0);
  io_context_t context = nullptr;
  CHECK(io_setup(8, &context) == 0);
  Buffer data = random_buffer(1 << 20);

  std::mutex mutex;
  std::condition_variable work;
  std::uint64_t started = 0, durable = 0;
  bool over = false;
  double cpu = cpu_seconds();
  auto begin = Time::now();
  std::thread reaper([&] {
    for (;;) {
      io_event done{};
      int got;
      do got = io_getevents(context, 1, 1, &done, nullptr);
      while (got == -EINTR);
      CHECK(got == 1 && static_cast<std::int64_t>(done.res) > 0);
      {
        std::lock_guard lock(mutex);
        durable += depth;
        if (durable == started && over) return work.notify_one();
      }
      work.notify_one();
      std::uint64_t one = 1;
      CHECK(::write(event, &one, sizeof one) == sizeof one);
    }
  });
  std::thread applier([&] {
    SeededRandom random(8);
    for (std::uint64_t applied = 0;;) {
      std::uint64_t until;
      {
        std::unique_lock lock(mutex);
        work.wait(lock, [&] { return durable - applied >= limits::lane_batch_transactions_wanted || over; });
        if (over) return;
        until = durable;
      }
      for (; applied < until; ++applied) {
        int file = files[random.below(files.size())];
        CHECK(::pwrite(file, data.data(), 4096, static_cast<off_t>(random.below(Rig::large_bytes / 4096) * 4096)) ==
              4096);
        if (applied % logged_together == 0) CHECK(::write(log, data.data(), logged_together * logged_bytes) > 0);
      }
    }
  });
  SeededRandom random(7);
  for (bool last = false; !last;) {
    iocb write;
    iocb* writes[] = {&write};
    io_prep_pwrite(&write, journal, const_cast<std::byte*>(data.data()), (depth * record_bytes + 4095) / 4096 * 4096,
                   static_cast<long long>(random.below(1 << 17) * 4096));
    write.aio_rw_flags = RWF_DSYNC;
    last = seconds_since(begin) >= seconds;
    {
      std::lock_guard lock(mutex);
      started += depth;
      over = last;
    }
    CHECK(io_submit(context, 1, writes) == 1);
    epoll_event got;
    while (!last && ::epoll_wait(poll, &got, 1, -1) < 0) CHECK(errno == EINTR);
  }
  reaper.join();
  applier.join();
  BareStore found{.rate = static_cast<double>(started) / seconds_since(begin),
                  .cpu_us = (cpu_seconds() - cpu) * 1e6 / static_cast<double>(started)};
  io_destroy(context);
  for (int each : files) ::close(each);
  for (int each : {log, journal, event, poll}) ::close(each);
  shell(fmt::format("btrfs -q subvolume delete {0} {0}.snap", base));
  return found;
}

double clone_floor(const Rig& rig) {
  constexpr int count = 1'000;
  std::string base = rig.disk().mount_point() + "/clones";
  shell(fmt::format(
      "mkdir {0} && chattr +C {0} && dd if=/dev/zero of={0}/source bs=4M count=1 status=none && sync -f {0}", base));
  int source = ::open((base + "/source").c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(source >= 0);
  double cpu = cpu_seconds();
  for (int i = 0; i < count; ++i) {
    int fd = ::open(fmt::format("{}/{}", base, i).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ::fsetxattr(fd, "user.name", base.data(), base.size(), 0) == 0 &&
          ::ioctl(fd, FICLONE, source) == 0);
    ::close(fd);
  }
  cpu = cpu_seconds() - cpu;
  ::close(source);
  shell("rm -rf " + base);
  return cpu * 1e6 / count;
}

double fio_writes(double seconds, const std::string& arguments) {
  std::string output =
      shell(fmt::format("fio --name=x --minimal --terse-version=3 --group_reporting --time_based --runtime={} {} | "
                        "tail -1",
                        seconds, arguments));
  // fio's terse format 3, counted from 0: 48 is write IOPS.
  std::size_t at = 0;
  for (int field = 0; field < 48; ++field) {
    at = output.find(';', at);
    CHECK(at != std::string::npos, output);
    ++at;
  }
  return std::atof(output.c_str() + at);
}

double fio_fdatasync(const RawDevice& device, unsigned depth, double seconds) {
  return fio_writes(seconds,
                    fmt::format("--filename={} --rw=randwrite --bs=4k --direct=1 --fdatasync=1 --numjobs={} --thread "
                                "--ioengine=psync --size=1G",
                                device.path(), depth));
}

double fio_journal(const RawDevice& device, unsigned depth, std::uint64_t bytes, double seconds) {
  return depth * fio_writes(seconds, fmt::format("--filename={} --rw=write --bs={} --direct=1 --sync=dsync "
                                                 "--ioengine=libaio --iodepth=1 --size=1G",
                                                 device.path(), (bytes + 4095) / 4096 * 4096));
}

double fio_large(const Rig& rig, unsigned depth, double seconds) {
  std::string directory = rig.disk().mount_point() + "/fio";
  shell(fmt::format("mkdir -p {0} && chattr +C {0}", directory));
  double rate = fio_writes(seconds, fmt::format("--directory={} --rw=write --bs=4m --direct=1 --fdatasync=4 --size=1g "
                                                "--ioengine=libaio --iodepth={}",
                                                directory, depth));
  shell(fmt::format("rm -rf {}", directory));
  return rate;
}

}  // namespace spirula::filestore::bench
