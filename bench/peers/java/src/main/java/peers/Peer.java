package peers;

import com.fasterxml.jackson.core.JsonEncoding;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.confluent.parallelconsumer.ParallelConsumerOptions;
import io.confluent.parallelconsumer.ParallelConsumerOptions.CommitMode;
import io.confluent.parallelconsumer.ParallelConsumerOptions.ProcessingOrder;
import io.confluent.parallelconsumer.ParallelStreamProcessor;
import io.confluent.parallelconsumer.PollContext;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Confluent's Parallel Consumer to Avro's fast reader to Jackson's streams to java.net.http, in batches. */
public final class Peer {
  static final String SINK = System.getenv("SINK_URL");
  static final URI USERS = URI.create(SINK + "/v2/users/batch");
  static final URI EVENTS = URI.create(SINK + "/v2/events/batch");
  static final int ATTEMPTS = 8;
  static final JsonFactory JSON = new JsonFactory();
  static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);
  /** Cleaned, by what they were. */
  static final Map<String, String> NAMES = new ConcurrentHashMap<>();

  static Schema schema;
  static HttpClient http;
  static final ThreadLocal<Worker> WORKERS = ThreadLocal.withInitial(Worker::new);

  /** A buffer whose bytes are sent without a copy. */
  static final class Out extends ByteArrayOutputStream {
    Out() {
      super(1 << 18);
    }

    HttpRequest.BodyPublisher publisher() {
      return HttpRequest.BodyPublishers.ofByteArray(buf, 0, count);
    }
  }

  /** A part of a batch: the items of one request. */
  static final class Part {
    final Out out = new Out();
    JsonGenerator json;
    int items;

    void begin() throws IOException {
      out.reset();
      items = 0;
      json = JSON.createGenerator(out, JsonEncoding.UTF8);
      json.writeStartObject();
      json.writeArrayFieldStart("requests");
    }

    void send(URI target) throws IOException {
      json.close(); // with what is open
      if (items == 0) return;
      HttpRequest request = HttpRequest.newBuilder(target)
          .timeout(Duration.ofSeconds(30))
          .header("Authorization", "Basic bench")
          .header("Content-Type", "application/json")
          .POST(out.publisher())
          .build();
      for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        try {
          if (http.send(request, HttpResponse.BodyHandlers.discarding()).statusCode() < 300) return;
        } catch (InterruptedException e) {
          throw new IllegalStateException(e);
        }
      }
      throw new IllegalStateException("not delivered");
    }
  }

  /** What each thread keeps: reader, decoder and record are used again. */
  static final class Worker {
    final GenericDatumReader<GenericRecord> reader;
    final List<String> whole = new ArrayList<>();
    final Part users = new Part();
    final Part events = new Part();
    BinaryDecoder decoder;
    GenericRecord record;

    Worker() {
      GenericData data = new GenericData();
      data.setFastReaderEnabled(true);
      reader = new GenericDatumReader<>(schema, schema, data);
    }

    void handle(PollContext<byte[], byte[]> context) {
      try {
        users.begin();
        events.begin();
        for (var each : context) {
          byte[] value = each.value();
          decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, decoder);
          record = reader.read(record, decoder);
          if (record.get("type").toString().equals("identify")) user(record);
          else event(record);
        }
        users.send(USERS);
        events.send(EVENTS);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    void user(GenericRecord event) throws IOException {
      JsonGenerator json = users.json;
      Object user = event.get("userId");
      Object anonymous = event.get("anonymousId");
      Map<?, ?> traits = event.get("traits") instanceof Map<?, ?> found ? found : Map.of();
      json.writeStartObject();
      json.writeStringField("uid", (user != null ? user : anonymous).toString());
      if (traits.get("displayName") instanceof String name) json.writeStringField("display_name", name);
      if (traits.get("email") instanceof String email) json.writeStringField("email", email);
      json.writeObjectFieldStart("properties");
      properties(json, traits, true);
      if (user != null && anonymous != null) json.writeStringField("segmentAnonymousId", anonymous.toString());
      json.writeEndObject();
      declare(json);
      json.writeEndObject();
      users.items++;
    }

    void event(GenericRecord event) throws IOException {
      JsonGenerator json = events.json;
      Object user = event.get("userId");
      Object time = event.get("timestamp");
      GenericRecord context = (GenericRecord) event.get("context");
      json.writeStartObject();
      json.writeStringField("name", String.valueOf(event.get("event")));
      json.writeStringField("timestamp", TIME.format(Instant.ofEpochMilli(time != null
          ? (Long) time
          : (Long) event.get("originalTimestamp") + (Long) event.get("receivedAt") - (Long) event.get("sentAt"))));
      json.writeObjectFieldStart("user");
      json.writeStringField("uid", (user != null ? user : event.get("anonymousId")).toString());
      json.writeEndObject();
      json.writeObjectFieldStart("context");
      json.writeObjectFieldStart("browser");
      json.writeStringField("url", String.valueOf(((GenericRecord) context.get("page")).get("url")));
      json.writeStringField("user_agent", String.valueOf(context.get("userAgent")));
      json.writeEndObject();
      json.writeObjectFieldStart("location");
      json.writeStringField("ip_address", String.valueOf(context.get("ip")));
      json.writeEndObject();
      json.writeEndObject();
      json.writeObjectFieldStart("properties");
      properties(json, event.get("properties") instanceof Map<?, ?> found ? found : Map.of(), false);
      json.writeEndObject();
      declare(json);
      json.writeEndObject();
      events.items++;
    }

    void properties(JsonGenerator json, Map<?, ?> found, boolean ofUser) throws IOException {
      whole.clear();
      for (var each : found.entrySet()) {
        String name = (String) each.getKey();
        Object value = each.getValue();
        if (value == null || (ofUser && (name.equals("email") || name.equals("displayName")))) continue;
        String clean = NAMES.get(name);
        if (clean == null) {
          clean = name.replaceAll("[^A-Za-z0-9_]", "");
          if (NAMES.size() < 10_000) NAMES.put(name, clean);
        }
        json.writeFieldName(clean);
        write(json, value);
        if (value instanceof Long) whole.add(clean);
      }
    }

    /** Say which of the properties are whole numbers. */
    void declare(JsonGenerator json) throws IOException {
      if (whole.isEmpty()) return;
      json.writeObjectFieldStart("schema");
      json.writeObjectFieldStart("properties");
      for (String name : whole) json.writeStringField(name, "int");
      json.writeEndObject();
      json.writeEndObject();
    }

    static void write(JsonGenerator json, Object value) throws IOException {
      if (value instanceof String text) json.writeString(text);
      else if (value instanceof Long number) json.writeNumber(number);
      else if (value instanceof Double number) json.writeNumber(number);
      else if (value instanceof Boolean truth) json.writeBoolean(truth);
      else {
        json.writeStartArray();
        for (Object each : (List<?>) value) write(json, each);
        json.writeEndArray();
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    ObjectMapper mapper = new ObjectMapper();
    JsonNode written = mapper.readTree(Files.readString(Path.of(System.getenv("SCHEMA"))));
    schema = new Schema.Parser().parse(mapper.writeValueAsString(withStrings(mapper, written)));
    http = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(Duration.ofSeconds(10))
        .build();
    Properties properties = new Properties();
    properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("BOOTSTRAP"));
    properties.put(ConsumerConfig.GROUP_ID_CONFIG, System.getenv("GROUP"));
    properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    properties.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, "5000");
    properties.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
    properties.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
    var options = ParallelConsumerOptions.<byte[], byte[]>builder()
        .consumer(new KafkaConsumer<>(properties))
        .ordering(ProcessingOrder.valueOf(System.getenv("ORDERING")))
        .maxConcurrency(Integer.parseInt(System.getenv("CONCURRENCY")))
        .batchSize(Integer.parseInt(System.getenv("BATCH")))
        .commitMode(CommitMode.PERIODIC_CONSUMER_ASYNCHRONOUS)
        .commitInterval(Duration.ofSeconds(1))
        .build();
    var consumer = ParallelStreamProcessor.createEosStreamProcessor(options);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> consumer.closeDrainFirst(Duration.ofSeconds(10))));
    consumer.subscribe(List.of(System.getenv("TOPIC")));
    consumer.poll(context -> WORKERS.get().handle(context));
  }

  /** Have all text read as `java.lang.String`, which is cheaper to go on with than Avro's own. */
  static JsonNode withStrings(ObjectMapper mapper, JsonNode node) {
    if (node.isTextual() && node.asText().equals("string")) {
      return mapper.createObjectNode().put("type", "string").put("avro.java.string", "String");
    }
    if (node instanceof ArrayNode array) {
      ArrayNode all = mapper.createArrayNode();
      array.forEach(each -> all.add(withStrings(mapper, each)));
      return all;
    }
    if (node instanceof ObjectNode object) {
      ObjectNode all = mapper.createObjectNode();
      object.fields().forEachRemaining(each -> all.set(each.getKey(),
          Set.of("type", "items", "values", "fields").contains(each.getKey())
              ? withStrings(mapper, each.getValue())
              : each.getValue()));
      if (all.path("type").asText().equals("map")) all.put("avro.java.string", "String");
      return all;
    }
    return node;
  }
}
