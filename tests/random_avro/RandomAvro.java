import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import org.apache.avro.Conversions;
import org.apache.avro.LogicalType;
import org.apache.avro.LogicalTypes;
import org.apache.avro.NameValidator;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericEnumSymbol;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.util.RandomData;

/**
 * Writes random schemas of Segment messages, and random values by them, as Avro for Java writes and reads them.
 *
 * <p>Arguments: a seed, how many records, how many unions of records, how many values in all. Each line of the output
 * is an object with a schema's text and its values: their bytes in base64, and what Java reads of them. What JSON has
 * not is an object with one name that begins with a dollar sign.
 */
public final class RandomAvro {
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
  private static final int LARGEST_BYTES = 4_000;
  private static final int ATTEMPTS = 50;
  private static final String[] PRIMITIVES = {
    "null", "boolean", "int", "long", "float", "double", "bytes", "string"
  };
  private static final String[] TIMESTAMPS = {
    "timestamp-millis", "timestamp-micros", "timestamp-nanos",
    "local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos"
  };
  private static final String[] SPACES = {"com.acme", "com.acme.deep", "org.other", "größe"};
  private static final String[] TEXTS = {"", "größe 😀", "a\0b", "\"\\\n", "2015-02-23T22:28:55Z"};

  public static void main(String[] args) throws IOException {
    long seed = Long.parseLong(args[0]);
    int records = Integer.parseInt(args[1]);
    int unions = Integer.parseInt(args[2]);
    int values = Integer.parseInt(args[3]);
    int schemas = records + unions;
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (int number = 0; number < schemas; number++) {
      int count = values / schemas + (number < values % schemas ? 1 : 0);
      String line = null;
      for (int attempt = 0; line == null; attempt++) {
        line = new RandomAvro((seed * 1_000_003 + number) * 1_009 + attempt).line(number >= records, count);
      }
      out.println(line);
    }
    out.flush();
  }

  private final Random random;
  private final List<Type> closed = new ArrayList<>();
  private final List<Type> open = new ArrayList<>();
  private final List<Type> owed = new ArrayList<>();
  private int names;

  /** A type that has a name. */
  private record Type(String space, String name) {
    String full() {
      return space.isEmpty() ? name : space + "." + name;
    }
  }

  private RandomAvro(long seed) {
    random = new Random(seed);
  }

  /** Returns null where values by the schema have no end, or hardly one: a type may hold itself in several places. */
  private String line(boolean isUnion, int count) throws IOException {
    JsonNode text = isUnion ? union() : message("Message", "");
    // As registries' clients parse: defaults that do not fit are no fault.
    Schema schema = new Schema.Parser(NameValidator.UTF_VALIDATOR).setValidateDefaults(false).parse(text.toString());
    ObjectNode line = JSON.objectNode();
    line.put("schema", text.toString());
    ArrayNode values = line.putArray("values");
    for (int attempt = 0; values.size() < count; attempt++) {
      byte[] bytes;
      try {
        bytes = written(schema, tuned(schema, new RandomData(schema, 1, random.nextLong()).iterator().next()));
      } catch (StackOverflowError fault) {
        return null;
      }
      if (bytes.length <= LARGEST_BYTES) {
        Object read = new GenericDatumReader<>(schema).read(null, DecoderFactory.get().binaryDecoder(bytes, null));
        ObjectNode value = values.addObject();
        value.put("bytes", Base64.getEncoder().encodeToString(bytes));
        value.set("read", rendered(schema, read));
      } else if (attempt > ATTEMPTS) {
        return null;
      }
    }
    return new ObjectMapper().writeValueAsString(line);
  }

  private byte[] written(Schema schema, Object datum) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    EncoderFactory factory = new EncoderFactory().configureBlockSize(64);
    BinaryEncoder encoder =
        random.nextBoolean() ? factory.binaryEncoder(out, null) : factory.blockingBinaryEncoder(out, null);
    new GenericDatumWriter<>(schema).write(datum, encoder);
    encoder.flush();
    return out.toByteArray();
  }

  // Schemas

  private JsonNode union() {
    ArrayNode union = JSON.arrayNode();
    int branches = 2 + random.nextInt(4);
    for (int number = 0; number < branches; number++) {
      union.add(message("Message" + number, pick(new String[] {"", "com.acme"})));
    }
    return union;
  }

  private ObjectNode message(String name, String space) {
    ObjectNode message = JSON.objectNode();
    message.put("type", "record").put("name", name);
    if (!space.isEmpty()) {
      message.put("namespace", space);
    }
    ArrayNode fields = message.putArray("fields");
    fields.addObject().put("name", "type").set("type", text());
    fields.addObject().put("name", "userId").set("type", text());
    decorated(fields.addObject().put("name", "extra")).set("type", record(space, 0));
    decorated(fields.addObject().put("name", "other")).set("type", type(space, 1, true));
    for (int number = 0; !owed.isEmpty(); number++) {
      Type later = owed.remove(0);
      ObjectNode fixed = JSON.objectNode().put("type", "fixed").put("name", later.full()).put("size", 3);
      if (later.space().isEmpty()) {
        fixed.put("namespace", "");
      }
      fields.addObject().put("name", "later" + number).set("type", fixed);
      closed.add(later);
    }
    return message;
  }

  private JsonNode text() {
    return random.nextBoolean()
        ? JSON.textNode("string")
        : JSON.objectNode().put("type", "string").put("avro.java.string", "String");
  }

  private ObjectNode decorated(ObjectNode node) {
    if (random.nextInt(4) == 0) {
      node.put("doc", "größe");
    }
    if (random.nextInt(4) == 0) {
      node.putArray("aliases").add("formerly" + names);
    }
    if (random.nextInt(3) == 0) {
      // Java 1.12.2 takes no other texts for reals, though it is told not to look.
      JsonNode[] defaults = {
        JSON.numberNode(0), JSON.textNode("7"), JSON.nullNode(), JSON.objectNode(), JSON.arrayNode().add(true)
      };
      node.set("default", defaults[random.nextInt(defaults.length)]);
    }
    if (random.nextInt(6) == 0) {
      node.putObject("x-more").put("type", "record");
    }
    return node;
  }

  private JsonNode type(String space, int depth, boolean mayBeUnion) {
    int kind = random.nextInt(depth >= 4 ? 9 : 14);
    if (kind < 3) {
      String primitive = pick(PRIMITIVES);
      return random.nextBoolean() ? JSON.textNode(primitive) : JSON.objectNode().put("type", primitive);
    }
    if (kind < 6) {
      return logical(space);
    }
    switch (kind) {
      case 6:
        return enumeration(space);
      case 7:
        return decorated(named("fixed", space)).put("size", random.nextInt(20));
      case 8:
        return reference(space, mayBeUnion);
      case 9:
        return JSON.objectNode().put("type", "array").set("items", type(space, depth + 1, true));
      case 10:
        return JSON.objectNode().put("type", "map").set("values", type(space, depth + 1, true));
      case 11:
        return mayBeUnion ? unionType(space, depth + 1) : JSON.textNode("string");
      case 12:
        return random.nextInt(4) == 0 ? jsonRecord(space) : record(space, depth + 1);
      default:
        return record(space, depth + 1);
    }
  }

  private ObjectNode record(String space, int depth) {
    ObjectNode record = named(random.nextInt(8) == 0 ? "error" : "record", space);
    Type own = open.get(open.size() - 1);
    ArrayNode fields = record.putArray("fields");
    int count = random.nextInt(5) + (depth == 0 ? 1 : 0);
    for (int number = 0; number < count; number++) {
      String name = (random.nextInt(5) == 0 ? "größe" : "f") + number;
      decorated(fields.addObject().put("name", name)).set("type", type(own.space(), depth + 1, true));
    }
    if (random.nextInt(3) == 0) {
      JsonNode again = JSON.arrayNode().add("null").add(own.space().isEmpty() ? own.name() : own.full());
      fields.addObject().put("name", "again").set("type", again);
    }
    open.remove(own);
    closed.add(own);
    return record;
  }

  /** A record that is JSON in Avro. */
  private ObjectNode jsonRecord(String space) {
    ObjectNode record = named("record", space);
    Type own = open.remove(open.size() - 1);
    ArrayNode union = JSON.arrayNode().add("null").add("long").add("string");
    union.addObject().put("type", "array").put("items", own.name());
    union.addObject().put("type", "map").put("values", own.full());
    record.putArray("fields").addObject().put("name", "value").set("type", union);
    closed.add(own);
    return record;
  }

  private ObjectNode enumeration(String space) {
    ObjectNode type = decorated(named("enum", space));
    type.remove("default");
    ArrayNode symbols = type.putArray("symbols").add("A").add("größe");
    if (random.nextBoolean()) {
      symbols.add("ß");
    }
    return type;
  }

  /** Begins the definition of a type: in the namespace around it, in one of its own, or in none. */
  private ObjectNode named(String kind, String space) {
    String name = "T" + names++;
    ObjectNode type = JSON.objectNode().put("type", kind);
    Type own;
    switch (random.nextInt(4)) {
      case 0:
        own = new Type(pick(SPACES), name);
        type.put("name", own.full()).put("namespace", "ignored");
        break;
      case 1:
        own = new Type(pick(SPACES), name);
        type.put("name", name).put("namespace", own.space());
        break;
      case 2:
        own = new Type("", name);
        type.put("name", name).put("namespace", "");
        break;
      default:
        own = new Type(space, name);
        type.put("name", name);
    }
    (kind.equals("record") || kind.equals("error") ? open : closed).add(own);
    return type;
  }

  private JsonNode reference(String space, boolean mayBeUnion) {
    int kind = random.nextInt(6);
    if (kind == 0) { // a name before its definition
      Type later = new Type(pick(SPACES), "T" + names++);
      owed.add(later);
      return JSON.textNode(later.full());
    }
    if (kind == 1 && mayBeUnion && !open.isEmpty()) {
      Type around = open.get(random.nextInt(open.size()));
      // Java 1.12.2 looks for a name that is not defined yet in the namespace around it only.
      if (!around.space().isEmpty() || space.isEmpty()) {
        return JSON.arrayNode().add("null").add("int").add(around.full());
      }
    }
    if (closed.isEmpty()) {
      return JSON.textNode("string");
    }
    Type known = closed.get(random.nextInt(closed.size()));
    boolean isNear = known.space().equals(space) || known.space().isEmpty();
    return JSON.textNode(isNear && random.nextBoolean() ? known.name() : known.full());
  }

  /** A union: one of each kind that has no name, and any number of types that have one. */
  private JsonNode unionType(String space, int depth) {
    ArrayNode union = JSON.arrayNode();
    List<String> kinds = new ArrayList<>(List.of(PRIMITIVES));
    kinds.addAll(List.of("array", "map", "a reference", "a record", "an enum", "a fixed", "a fixed"));
    Collections.shuffle(kinds, random);
    kinds = kinds.subList(0, 1 + random.nextInt(5));
    JsonNode reference = closed.isEmpty() ? null : reference(space, false); // to nothing within the union
    for (String kind : kinds) {
      switch (kind) {
        case "array":
          union.addObject().put("type", kind).set("items", type(space, depth + 1, true));
          break;
        case "map":
          union.addObject().put("type", kind).set("values", type(space, depth + 1, true));
          break;
        case "a reference":
          union.add(reference == null ? record(space, depth + 1) : reference);
          break;
        case "a record":
          union.add(record(space, depth + 1));
          break;
        case "an enum":
          union.add(enumeration(space));
          break;
        case "a fixed":
          union.add(decorated(named("fixed", space)).put("size", random.nextInt(20)));
          break;
        case "long":
          union.addObject().put("type", kind).put("logicalType", pick(TIMESTAMPS));
          break;
        default:
          union.add(kind);
      }
    }
    for (int number = random.nextInt(20) == 0 ? 80 : 0; number > 0; number--) { // whose index takes two bytes
      union.add(named("fixed", space).put("size", 1));
    }
    return union;
  }

  private JsonNode logical(String space) {
    ObjectNode type;
    switch (random.nextInt(12)) {
      case 0:
        return JSON.objectNode().put("type", "int").put("logicalType", "date");
      case 1:
        return JSON.objectNode().put("type", "int").put("logicalType", "time-millis");
      case 2:
        return JSON.objectNode().put("type", "long").put("logicalType", "time-micros");
      case 3:
      case 4:
        return JSON.objectNode().put("type", "long").put("logicalType", pick(TIMESTAMPS));
      case 5: // valid where the scale is not larger than the precision
        return JSON.objectNode().put("type", "bytes").put("logicalType", "decimal")
            .put("precision", random.nextInt(40)).put("scale", random.nextInt(30) - 3);
      case 6:
        type = JSON.objectNode().put("type", "bytes").put("logicalType", "decimal").put("precision", "x");
        return random.nextBoolean() ? type : type.put("precision", 7);
      case 7:
        return decorated(named("fixed", space)).put("size", 1 + random.nextInt(12)).put("logicalType", "decimal")
            .put("precision", 1 + random.nextInt(20)).put("scale", random.nextInt(3));
      case 8:
        return JSON.objectNode().put("type", "bytes").put("logicalType", "big-decimal");
      case 9:
        return decorated(named("fixed", space)).put("size", random.nextBoolean() ? 16 : 15).put("logicalType", "uuid");
      case 10:
        return decorated(named("fixed", space)).put("size", random.nextBoolean() ? 12 : 3)
            .put("logicalType", "duration");
      default: // of no type that has it
        return JSON.objectNode().put("type", pick(new String[] {"string", "long", "double", "int"}))
            .put("logicalType", pick(new String[] {"unheard-of", "decimal", "time-millis", "uuid"}));
    }
  }

  private <T> T pick(T[] choices) {
    return choices[random.nextInt(choices.length)];
  }

  // Values

  /** Makes of random bytes and numbers what people have, most of the time. */
  private Object tuned(Schema schema, Object datum) {
    switch (schema.getType()) {
      case RECORD:
        IndexedRecord record = (IndexedRecord) datum;
        schema.getFields().forEach(each -> record.put(each.pos(), tuned(each.schema(), record.get(each.pos()))));
        return record;
      case ARRAY:
        List<Object> items = new GenericData.Array<>(schema, List.of());
        ((List<?>) datum).forEach(each -> items.add(tuned(schema.getElementType(), each)));
        return items;
      case MAP:
        Map<Object, Object> map = new HashMap<>();
        ((Map<?, ?>) datum).forEach((name, each) -> map.put(name, tuned(schema.getValueType(), each)));
        return map;
      case UNION:
        return tuned(schema.getTypes().get(GenericData.get().resolveUnion(schema, datum)), datum);
      case STRING:
        return random.nextInt(5) == 0 ? pick(TEXTS) : datum;
      case FLOAT:
        return random.nextBoolean() ? datum : Float.intBitsToFloat(random.nextInt());
      case DOUBLE:
        return random.nextBoolean() ? datum : Double.longBitsToDouble(random.nextLong());
      case INT:
        return LogicalTypes.date().equals(schema.getLogicalType()) && random.nextInt(5) > 0
            ? Integer.valueOf(random.nextInt(60_000) - 20_000)
            : datum;
      case LONG:
        return tunedLong(schema.getLogicalType(), (Long) datum);
      case BYTES:
        return tunedBytes(schema.getLogicalType(), (ByteBuffer) datum);
      default:
        return datum;
    }
  }

  private Object tunedLong(LogicalType logical, long number) {
    if (logical instanceof LogicalTypes.TimeMicros) { // for Avro 1.12.2 takes them from elsewhere than its seed
      return (long) (random.nextDouble() * 87_000_000_000L);
    }
    int perSecond = logical == null ? 0 : perSecond(logical.getName());
    if (perSecond == 0 || random.nextInt(5) == 0) {
      return random.nextInt(4) == 0 && logical == null ? Long.valueOf(random.nextInt(100) - 50) : number;
    }
    return (100_000_000L + random.nextInt(2_000_000_000)) * perSecond + random.nextInt(perSecond);
  }

  private Object tunedBytes(LogicalType logical, ByteBuffer bytes) {
    if (logical instanceof LogicalTypes.BigDecimal) {
      byte[] unscaled = new byte[1 + random.nextInt(12)];
      random.nextBytes(unscaled);
      BigDecimal number = new BigDecimal(new BigInteger(unscaled), random.nextInt(60) - 20);
      return new Conversions.BigDecimalConversion().toBytes(number, Schema.create(Schema.Type.BYTES), logical);
    }
    return logical instanceof LogicalTypes.Decimal && !bytes.hasRemaining() ? ByteBuffer.wrap(new byte[] {-7}) : bytes;
  }

  private static int perSecond(String logical) {
    if (!logical.contains("timestamp-")) {
      return 0;
    }
    return logical.endsWith("millis") ? 1_000 : logical.endsWith("micros") ? 1_000_000 : 1_000_000_000;
  }

  // What Java reads

  private static JsonNode rendered(Schema schema, Object datum) {
    switch (schema.getType()) {
      case RECORD:
        ObjectNode record = JSON.objectNode();
        for (Schema.Field field : schema.getFields()) {
          record.set(field.name(), rendered(field.schema(), ((IndexedRecord) datum).get(field.pos())));
        }
        return isJson(schema) ? tagged("$json", record.get(schema.getFields().get(0).name())) : record;
      case ENUM:
        return JSON.textNode(((GenericEnumSymbol<?>) datum).toString());
      case ARRAY:
        ArrayNode array = JSON.arrayNode();
        ((List<?>) datum).forEach(each -> array.add(rendered(schema.getElementType(), each)));
        return array;
      case MAP:
        ObjectNode map = JSON.objectNode();
        ((Map<?, ?>) datum).forEach((name, each) -> map.set(name.toString(), rendered(schema.getValueType(), each)));
        return map;
      case UNION:
        return rendered(schema.getTypes().get(GenericData.get().resolveUnion(schema, datum)), datum);
      case FIXED:
        return ofBytes(schema, ((GenericFixed) datum).bytes());
      case BYTES:
        ByteBuffer buffer = ((ByteBuffer) datum).duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return ofBytes(schema, bytes);
      case STRING:
        return JSON.textNode(datum.toString());
      case INT:
        return ofInt(schema.getLogicalType(), (Integer) datum);
      case LONG:
        return ofLong(schema.getLogicalType(), (Long) datum);
      case FLOAT:
        return tagged("$float", JSON.textNode(datum.toString()));
      case DOUBLE:
        return tagged("$double", JSON.textNode(datum.toString()));
      case BOOLEAN:
        return JSON.booleanNode((Boolean) datum);
      default:
        return JSON.nullNode();
    }
  }

  private static boolean isJson(Schema schema) {
    if (schema.getFields().size() != 1) {
      return false;
    }
    Schema only = schema.getFields().get(0).schema();
    return (only.isUnion() ? only.getTypes() : List.of(only)).stream().anyMatch(each ->
        each.getType() == Schema.Type.ARRAY && holds(each.getElementType(), schema)
            || each.getType() == Schema.Type.MAP && holds(each.getValueType(), schema));
  }

  private static boolean holds(Schema schema, Schema record) {
    return (schema.isUnion() ? schema.getTypes() : List.of(schema)).stream()
        .anyMatch(each -> each.getType() == Schema.Type.RECORD && each.getFullName().equals(record.getFullName()));
  }

  private static JsonNode ofBytes(Schema schema, byte[] bytes) {
    LogicalType logical = schema.getLogicalType();
    if (logical instanceof LogicalTypes.Decimal) {
      BigDecimal number = new BigDecimal(new BigInteger(bytes), ((LogicalTypes.Decimal) logical).getScale());
      return tagged("$decimal", JSON.textNode(number.toPlainString()));
    }
    if (logical instanceof LogicalTypes.BigDecimal) {
      BigDecimal number = new Conversions.BigDecimalConversion().fromBytes(ByteBuffer.wrap(bytes), schema, logical);
      return tagged("$decimal", JSON.textNode(number.toPlainString()));
    }
    if (logical instanceof LogicalTypes.Uuid) {
      ByteBuffer halves = ByteBuffer.wrap(bytes);
      return JSON.textNode(new UUID(halves.getLong(), halves.getLong()).toString());
    }
    if (logical instanceof LogicalTypes.Duration) {
      ByteBuffer parts = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      ArrayNode numbers = JSON.arrayNode();
      for (int part = 0; part < 3; part++) {
        numbers.add(Integer.toUnsignedLong(parts.getInt()));
      }
      return tagged("$duration", numbers);
    }
    return JSON.textNode(Base64.getEncoder().encodeToString(bytes));
  }

  private static JsonNode ofInt(LogicalType logical, int number) {
    if (logical instanceof LogicalTypes.Date) {
      return tagged("$date", JSON.textNode(LocalDate.ofEpochDay(number).toString()));
    }
    return logical instanceof LogicalTypes.TimeMillis ? ofTime(number * 1_000_000L) : JSON.numberNode(number);
  }

  private static JsonNode ofLong(LogicalType logical, long number) {
    if (logical instanceof LogicalTypes.TimeMicros) {
      return ofTime(Math.multiplyExact(number, 1_000L));
    }
    int perSecond = logical == null ? 0 : perSecond(logical.getName());
    if (perSecond == 0) {
      return JSON.numberNode(number);
    }
    Instant instant = Instant.ofEpochSecond(
        Math.floorDiv(number, perSecond), Math.floorMod(number, perSecond) * (1_000_000_000L / perSecond));
    boolean isLocal = logical.getName().startsWith("local-");
    ObjectNode moment = JSON.objectNode();
    moment.put("text", isLocal ? LocalDateTime.ofInstant(instant, ZoneOffset.UTC).toString() : instant.toString());
    moment.put("number", number);
    return tagged("$moment", moment);
  }

  private static JsonNode ofTime(long nanoseconds) {
    try {
      return tagged("$time", JSON.textNode(LocalTime.ofNanoOfDay(nanoseconds).toString()));
    } catch (DateTimeException fault) {
      return tagged("$time", JSON.nullNode());
    }
  }

  private static JsonNode tagged(String tag, JsonNode value) {
    return JSON.objectNode().set(tag, value);
  }
}
